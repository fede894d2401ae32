//! Programs of known size against boards of known memory.

use kinglet_boards::{Board, find, parse_board};
use kinglet_decide::{
    Basis, Needs, RemedyKind, Settings, Verdict, fit, float_work, judge, needs_soft_float, peak,
    predict, step_bytes,
};
use kinglet_diag::code;
use kinglet_graph::text::Unbuildable;
use kinglet_program::{Options, Program, lower};
use std::fmt::Write;

/// A chain of convolutions over i8 maps: `[height, width, channels]` each.
fn chain(maps: &[[usize; 3]]) -> Program {
    let mut text = String::from("graph \"chain\"\ninput t0\n");
    let _ = writeln!(text, "output t{}", (maps.len() - 1) * 3);
    for (index, [height, width, channels]) in maps.iter().enumerate() {
        let id = index * 3;
        let ty = format!("i8[1,{height},{width},{channels}] q(0.5, 0) \"map{index}\"");
        if index == 0 {
            let _ = writeln!(text, "t0: {ty}");
            continue;
        }
        let [before, _, depth] = maps[index - 1];
        let stride = before / height;
        let _ = writeln!(
            text,
            "t{}: i8[{channels},3,3,{depth}] q(0.25, 0) = constant zeros\n\
             t{}: i32[{channels}] q(0.125, 0) = constant zeros\n\
             t{id}: {ty} = conv2d(t{}, t{}, t{}) {{padding = same, stride = [{stride}, {stride}], \
             dilation = [1, 1], activation = none}}",
            id - 2,
            id - 1,
            id - 3,
            id - 2,
            id - 1,
        );
    }
    program(&text, "nucleo-f446re")
}

fn program(text: &str, board: &str) -> Program {
    let graph: kinglet_ops::Graph = kinglet_graph::text::parse(text, |name, attributes| {
        kinglet_ops::parse(name, attributes)
            .map_err(|refusal| Unbuildable { why: refusal.why, help: refusal.help })
    })
    .unwrap();
    kinglet_graph::verify::verify(&graph).unwrap();
    lower(&graph, &find(board).unwrap().target(), &Options::default()).unwrap()
}

/// Measured needs: no table has a part in what these tests say.
fn needs(arena: u64, stack: u64, weights: u64) -> Needs {
    Needs { basis: Basis::Measured, arena, stack, weights, code: 10_000, ..Needs::default() }
}

fn board(memory: &str) -> Board {
    parse_board(&format!(
        "id = \"test\"\nname = \"Test\"\nvendor = \"V\"\nsoc = \"S\"\nclass = \"microcontroller\"\ncore = \"cortex-m4f\"\n{memory}"
    ))
    .unwrap()
}

fn region(name: &str, kind: &str, kib: u64) -> String {
    format!("[[memory]]\nname = \"{name}\"\nkind = \"{kind}\"\nbytes = {}\n", kib << 10)
}

#[test]
fn mem_01_the_peak_and_what_lives_then() {
    let program = chain(&[[96, 96, 3], [48, 48, 16], [24, 24, 32]]);
    let found = peak(&program).unwrap();
    // The second map is overwritten while the third one is computed, two rows behind.
    let shared = 36_864 + 18_432 - 37_632;
    assert_eq!((found.step, found.bytes, found.shared), (1, 37_632, shared));
    assert!(found.label.contains("conv2d"));
    let tensors: Vec<_> = found.tensors.iter().map(|t| (t.name.as_str(), t.bytes)).collect();
    assert_eq!(tensors, [("map1", 36_864), ("map2", 18_432)]);
    assert_eq!(found.tensors[0].ty, "i8[1,48,48,16]");
    assert_eq!(step_bytes(&program), [37_440, 37_632]);
    assert_eq!(program.arena_bytes, 37_632);
}

#[test]
fn cm_01_fit_is_judged_by_the_largest_block_not_by_the_sum() {
    // "1 MB" of RAM, of which the largest block has 512 KiB; and 128 + 64 KiB.
    let program = chain(&[[96, 96, 3], [48, 48, 16]]);
    for (id, block) in [("nucleo-h743zi2", 512 << 10), ("stm32f4-discovery", 128 << 10)] {
        let report =
            judge(needs(600_000, 1000, 1000), &program, find(id).unwrap(), &Settings::default());
        assert_eq!(report.verdict, Verdict::TooLarge, "{id}");
        assert_eq!(report.ram.region_bytes, block, "{id}");
        assert_eq!(report.ram.missing, 601_000 - block, "{id}");
        assert!(
            report.answer.contains(&format!("lacks {} bytes", 601_000 - block)),
            "{}",
            report.answer
        );
    }
}

#[test]
fn one_byte_decides_and_a_small_rest_is_a_warning() {
    let program = chain(&[[96, 96, 3], [48, 48, 16]]);
    let board = board(&format!(
        "{}{}[[reserved]]\nwhat = \"radio\"\nregion = \"SRAM\"\nbytes = 1024\nassumption = true\n",
        region("SRAM", "ram", 100),
        region("FLASH", "flash", 100)
    ));
    let available = (100 << 10) - 1024;
    let judged = |arena| judge(needs(arena, 1000, 1000), &program, &board, &Settings::default());
    let exact = judged(available - 1000);
    assert_eq!((exact.verdict, exact.ram.free, exact.ram.missing), (Verdict::Fits, 0, 0));
    assert!(exact.warnings.iter().any(|warning| warning.code == code::FIT_TIGHT));
    assert_eq!(exact.ram.reserved[0].bytes, 1024);
    let over = judged(available - 999);
    assert_eq!((over.verdict, over.ram.missing), (Verdict::TooLarge, 1));
    let roomy = judged(50_000);
    assert_eq!((roomy.verdict, roomy.warnings.len()), (Verdict::Fits, 0));
}

#[test]
fn an_answer_within_the_estimates_error_says_so() {
    let program = chain(&[[96, 96, 3], [48, 48, 16]]);
    let board = board(&format!("{}{}", region("SRAM", "ram", 100), region("FLASH", "flash", 100)));
    let mut needs = needs((100 << 10) - 1010, 1000, 1000);
    needs.basis = Basis::Predicted;
    needs.stack_error = 64;
    let report = judge(needs, &program, &board, &Settings::default());
    assert_eq!(report.verdict, Verdict::Fits);
    assert!(report.warnings.iter().any(|warning| warning.code == code::FIT_UNCERTAIN));
}

#[test]
fn remedies_name_what_they_save() {
    let program = chain(&[[96, 96, 3], [48, 48, 16], [24, 24, 32]]);
    let board = board(&format!(
        "{}{}{}{}",
        region("SRAM1", "ram", 48),
        region("CCM", "ram", 16),
        region("FLASH", "flash", 32),
        region("QSPI", "external-flash", 1024)
    ));
    let report = judge(needs(64_512, 1000, 40_000), &program, &board, &Settings::default());
    assert_eq!(report.verdict, Verdict::TooLarge);
    let find = |kind| report.remedies.iter().find(|remedy| remedy.kind == kind).unwrap();
    let weights = find(RemedyKind::WeightsElsewhere);
    assert_eq!((weights.saves.flash, weights.estimate, weights.enough), (40_000, false, false));
    let checked = Settings { check: true, ..Settings::default() };
    let report_with_check = judge(needs(64_512, 1000, 40_000), &program, &board, &checked);
    let remedies = &report_with_check.remedies;
    let no_check = remedies.iter().find(|remedy| remedy.kind == RemedyKind::NoCheck).unwrap();
    assert_eq!(no_check.saves.flash, 27_648 + 18_432);
    assert!(report.remedies.iter().all(|remedy| remedy.kind != RemedyKind::NoCheck));
    let input = find(RemedyKind::SmallerInput);
    assert!(input.what.contains("from 96x96 to 82x82"), "{}", input.what);
    assert!(input.estimate && input.saves.ram >= report.ram.missing);
    let operator = find(RemedyKind::PeakOperator);
    // Without map1 the largest step would still hold map0.
    assert_eq!(operator.saves.ram, 37_632 - 27_648);
    assert!(operator.what.contains("i8[1,48,48,16] of node 1 conv2d"), "{}", operator.what);
    // Neither block has room for the arena.
    assert!(report.remedies.iter().all(|remedy| remedy.kind != RemedyKind::ArenaElsewhere));
}

#[test]
fn stack_and_arena_apart_may_fit_where_both_together_do_not() {
    let program = chain(&[[96, 96, 3], [48, 48, 16]]);
    let board = board(&format!(
        "{}{}{}",
        region("SRAM1", "ram", 64),
        region("CCM", "ram", 16),
        region("FLASH", "flash", 64)
    ));
    let report = judge(needs(65_000, 1000, 1000), &program, &board, &Settings::default());
    let remedy = &report.remedies[0];
    assert_eq!((remedy.kind, remedy.enough), (RemedyKind::ArenaElsewhere, true));
    assert!(remedy.what.contains("SRAM1") && remedy.what.contains("CCM"), "{}", remedy.what);
}

#[test]
fn an_emulated_machine_uses_its_other_memory_by_itself() {
    let program = chain(&[[96, 96, 3], [48, 48, 16]]);
    let board = find("mps3-an547").unwrap();
    let report = judge(needs(700_000, 1000, 900_000), &program, board, &Settings::default());
    assert_eq!(report.verdict, Verdict::Fits);
    let places: Vec<_> = report.elsewhere.iter().map(|m| (m.region.as_str(), m.needed)).collect();
    assert_eq!(places, [("ISRAM0+ISRAM1", 700_000), ("QSPI", 900_000)]);
}

#[test]
fn under_linux_the_process_is_judged_by_ram() {
    let program = chain(&[[96, 96, 3], [48, 48, 16]]);
    let report = fit(&program, 1 << 20, find("raspberry-pi-5").unwrap(), &Settings::default());
    assert_eq!((report.verdict, report.flash), (Verdict::Fits, None));
    assert_eq!(report.ram.needed, program.arena_bytes as u64 + (1 << 20) + (16 << 20));
    assert_eq!(report.ram.reserved[0].bytes, 128 << 20);
    assert!(report.notes[0].contains("assumed"));
}

#[test]
fn an_accelerator_without_memory_of_its_own_is_refused() {
    let program = chain(&[[96, 96, 3], [48, 48, 16]]);
    let report = fit(&program, 1000, find("coral-usb-accelerator").unwrap(), &Settings::default());
    assert_eq!(report.verdict, Verdict::Refused);
    assert!(report.answer.contains("host"), "{}", report.answer);
}

const DENSE_F32: &str = "graph \"dense\"\ninput t0\noutput t3\n\
    t0: f32[1,16] \"x\"\nt1: f32[8,16] \"w\" = constant zeros\nt2: f32[8] \"b\" = constant zeros\n\
    t3: f32[1,8] \"y\" = fully_connected(t0, t1, t2) {activation = none, keep_dims = false}\n";

#[test]
fn cm_05_floats_without_a_floating_point_unit_are_refused_unless_accepted() {
    let board = find("raspberry-pi-pico").unwrap();
    let program = program(DENSE_F32, "raspberry-pi-pico");
    let report = fit(&program, 544, board, &Settings::default());
    assert_eq!(report.verdict, Verdict::Refused);
    assert!(report.answer.contains("20 to 50 times slower"), "{}", report.answer);
    assert!(report.remedies.iter().any(|remedy| remedy.kind == RemedyKind::Quantize));
    let accepted = fit(&program, 544, board, &Settings { soft_float: true, ..Settings::default() });
    assert_eq!(accepted.verdict, Verdict::Fits);
    assert!(accepted.warnings.iter().any(|warning| warning.code == code::SOFT_FLOAT));
    assert!(needs_soft_float(&program, &find("nucleo-f446re").unwrap().target()).is_none());
}

#[test]
fn cm_05_converting_at_the_edge_is_no_float_model() {
    let text = "graph \"edge\"\ninput t0\noutput t2\nt0: f32[1,64] \"x\"\n\
        t1: i8[1,64] q(0.5, 0) \"q\" = quantize(t0) {to = i8}\nt2: f32[1,64] \"y\" = dequantize(t1)\n";
    let program = program(text, "raspberry-pi-pico");
    assert_eq!(float_work(&program).steps, 0);
    let report = fit(&program, 0, find("raspberry-pi-pico").unwrap(), &Settings::default());
    assert_eq!(report.verdict, Verdict::Fits);
}

#[test]
fn what_is_read_off_the_program_is_exact() {
    let program = chain(&[[96, 96, 3], [48, 48, 16], [24, 24, 32]]);
    let core = find("nucleo-f446re").unwrap().core;
    let plain = predict(&program, 5072, core, &Settings::default());
    assert_eq!((plain.arena, plain.state, plain.weights), (37_632, 0, 5072));
    let with_check =
        predict(&program, 5072, core, &Settings { check: true, ..Settings::default() });
    assert_eq!(with_check.check - plain.check, 27_648 + 18_432);
}

#[test]
fn memory_that_is_slow_or_known_by_its_total_alone_is_a_warning() {
    let program = chain(&[[96, 96, 3], [48, 48, 16]]);
    let external =
        board(&format!("{}{}", region("PSRAM", "psram", 8192), region("FLASH", "flash", 1024)));
    let report = judge(needs(65_000, 1000, 1000), &program, &external, &Settings::default());
    assert_eq!((report.verdict, report.ram.region.as_str()), (Verdict::Fits, "PSRAM"));
    assert!(report.warnings.iter().any(|warning| warning.code == code::FIT_SLOW_MEMORY));
    let total = find("esp32-s3-devkitc-1").unwrap();
    let report = judge(needs(65_000, 1000, 1000), &program, total, &Settings::default());
    assert!(report.warnings.iter().any(|warning| warning.code == code::FIT_TOTAL_ONLY));
}
