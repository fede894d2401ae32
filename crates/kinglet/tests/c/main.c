/* Feeds cases to a model's C library on an emulated Cortex-M, and brings its outputs back.
 *
 * `model.h`, written by the test, includes the library's header and defines M(name) and M_CONST(name)
 * for its names; its function `bystander` checks another model. `in.bin` holds the inputs of all runs, CASES times STEPS_A_CASE of them; every second
 * run is made step by step. Exits with the line of the first check that fails. */
#include "model.h"

#define CHECK(condition) do { if (!(condition)) semihost_exit(__LINE__); } while (0)

static uint32_t semihost(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void semihost_exit(uint32_t status)
{
    const uint32_t argument[2] = {0x20026u, status};
    for (;;)
        semihost(0x20u, argument);
}

static uint32_t file(const char *name, uint32_t mode, uint32_t length)
{
    const uint32_t argument[3] = {(uint32_t)(uintptr_t)name, mode, length};
    return semihost(1u, argument);
}

/* Bytes that were not read (6) or not written (5). */
static uint32_t transfer(uint32_t operation, uint32_t handle, const void *bytes, uint32_t length)
{
    const uint32_t argument[3] = {handle, (uint32_t)(uintptr_t)bytes, length};
    return semihost(operation, argument);
}

static M(memory) memory;
static M(memory) second_memory;
M_CONST(ASSERT_FITS)(memory);

static void refusals(void)
{
    static M(model) model;
    size_t bytes = sizeof memory.bytes;

    /* All zeros: nothing was given yet. */
    CHECK(M(run)(&model) == M_CONST(NOT_READY));
    CHECK(M(begin)(&model) == M_CONST(NOT_READY));
    CHECK(!M(step)(&model));
    CHECK(!M(check)(&model));
    CHECK(M(input)(&model, 0) == NULL);
    CHECK(M(output)(&model, 0) == NULL);
    M(finish)(&model);
    M(reset)(&model);
    CHECK(M(run)(NULL) == M_CONST(NOT_READY));
    CHECK(M(input)(NULL, 0) == NULL);
    CHECK(M(init)(NULL, &memory, bytes) == M_CONST(NOT_READY));
    CHECK(M(init)(&model, NULL, bytes) == M_CONST(NO_MEMORY));
    CHECK(M(init)(&model, memory.bytes + 1, bytes) == M_CONST(MISALIGNED));
    CHECK(M(init)(&model, &memory, bytes - 1) == M_CONST(TOO_SMALL));
    CHECK(M(run)(&model) == M_CONST(NOT_READY));
    CHECK(M(init)(&model, &memory, bytes) == M_CONST(OK));
    CHECK(M(input)(&model, M_CONST(INPUTS)) == NULL);
    CHECK(M(output)(&model, M_CONST(OUTPUTS)) == NULL);
    CHECK(M(output)(&model, (size_t)-1) == NULL);
    /* A step's number that no run has. */
    model.next_step = 0xFFFFFFFFu;
    CHECK(!M(step)(&model));
    CHECK(M(check)(&model));
}

int main(void)
{
    static const uint32_t input_bytes[] = INPUT_BYTES;
    static const uint32_t output_bytes[] = OUTPUT_BYTES;
    static M(model) model;
    static M(model) other;
    uint32_t in, out, run, i;

    refusals();
    CHECK(bystander() == 1);
    in = file("in.bin", 1u, 6u);
    out = file("out.bin", 5u, 7u);
    CHECK(in != 0xFFFFFFFFu && out != 0xFFFFFFFFu);
    CHECK(M(init)(&model, &memory, sizeof memory) == M_CONST(OK));
    CHECK(M(init)(&other, &second_memory, sizeof second_memory) == M_CONST(OK));
    for (run = 0; run < CASES * STEPS_A_CASE; run++) {
        if (run % STEPS_A_CASE == 0)
            M(reset)(&model);
        for (i = 0; i < M_CONST(INPUTS); i++)
            CHECK(transfer(6u, in, M(input)(&model, i), input_bytes[i]) == 0);
        if (run % 2 == 0) {
            CHECK(M(run)(&model) == M_CONST(OK));
        } else {
            uint32_t taken = 0;
            CHECK(M(begin)(&model) == M_CONST(OK));
            do {
                CHECK(model.next_step == taken);
                taken++;
                /* Another instance, with memory of its own. */
                if (taken == 2)
                    M(run)(&other);
            } while (M(step)(&model));
            CHECK(taken == M_CONST(STEPS) && model.next_step == M_CONST(STEPS));
            CHECK(!M(step)(&model));
        }
        for (i = 0; i < M_CONST(OUTPUTS); i++)
            CHECK(transfer(5u, out, M(output)(&model, i), output_bytes[i]) == 0);
    }
    semihost_exit(0);
    return 0;
}

/* Start-up: the FPU on, variables zeroed (none has a start value). */
extern uint32_t bss_start[], bss_end[];

void stack_top(void);
void start(void);
void start(void)
{
    uint32_t *word;
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb");
    for (word = bss_start; word < bss_end; word++)
        *(volatile uint32_t *)word = 0;
    main();
}

static void fault(void)
{
    semihost_exit(1);
}

__attribute__((section(".vectors"), used)) static void (*const vectors[4])(void) = {
    stack_top, start, fault, fault};
