//! Requirements by id: what the board data must say.

use kinglet_boards::{Class, RegionKind, find};
use kinglet_target::{Fpu, Isa, Vector};

const KIB: u64 = 1024;

/// Blocks of RAM, largest first, in KiB.
fn blocks(id: &str) -> Vec<u64> {
    let mut sizes: Vec<u64> =
        find(id).unwrap().ram_regions().iter().map(|r| r.bytes / KIB).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes
}

fn holds(id: &str, bytes: u64) -> bool {
    find(id).unwrap().ram_regions().iter().any(|region| region.bytes >= bytes)
}

#[test]
fn cm_01_stm32h743_has_512_kib_at_most_in_one_block() {
    let board = find("nucleo-h743zi2").unwrap();
    assert_eq!(board.total_bytes(RegionKind::Ram), 1056 * KIB, "the \"1 MB\" of the brochure");
    let largest = board.largest_ram().unwrap();
    assert_eq!((largest.name.as_str(), largest.bytes), ("AXISRAM", 512 * KIB));
    // E-50: blocks of 512, 128, 128, 128, 64, 32 KiB and the ITCM.
    let mut parts: Vec<u64> = board
        .memory
        .iter()
        .filter(|region| region.kind == RegionKind::Ram && region.name != "ITCM")
        .map(|region| region.bytes / KIB)
        .collect();
    parts.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(parts, [512, 128, 128, 128, 64, 32]);
    assert!(!holds("nucleo-h743zi2", 600 * KIB), "a 600 KiB arena");
}

#[test]
fn cm_01_stm32h743_dma_does_not_reach_tightly_coupled_memory() {
    let board = find("nucleo-h743zi2").unwrap();
    for region in board.memory.iter().filter(|region| region.kind == RegionKind::Ram) {
        assert_eq!(region.dma, Some(!region.tightly_coupled), "{}", region.name);
        assert_eq!(region.cached, Some(!region.tightly_coupled), "{}", region.name);
    }
    assert!(board.region("DTCM").unwrap().tightly_coupled);
}

#[test]
fn cm_01_stm32f407_has_128_and_64_without_dma() {
    assert_eq!(blocks("stm32f4-discovery"), [128, 64]);
    let board = find("stm32f4-discovery").unwrap();
    let regions = board.ram_regions();
    assert_eq!(regions.iter().find(|r| r.bytes == 64 * KIB).unwrap().dma, Some(false), "CCM");
    assert_eq!(regions.iter().find(|r| r.bytes == 128 * KIB).unwrap().dma, Some(true));
    assert!(!holds("stm32f4-discovery", 600 * KIB), "a 600 KiB arena");
}

#[test]
fn cm_01_adjoining_banks_are_one_block() {
    assert_eq!(blocks("nucleo-u575zi-q"), [768]);
    assert_eq!(blocks("nucleo-wl55jc"), [64]);
    assert_eq!(blocks("nrf5340-dk"), [512]);
    assert_eq!(blocks("frdm-mcxn947"), [416, 96]);
}

#[test]
fn cm_01_every_core_has_its_features() {
    let target = |id| find(id).unwrap().target();
    let expected = [
        ("raspberry-pi-pico", Isa::Armv6m, Fpu::None, Vector::None),
        ("blue-pill", Isa::Armv7m, Fpu::None, Vector::None),
        ("nucleo-wl55jc", Isa::Armv7em, Fpu::None, Vector::Dsp),
        ("nucleo-f446re", Isa::Armv7em, Fpu::Single, Vector::Dsp),
        ("stm32f746g-disco", Isa::Armv7em, Fpu::Single, Vector::Dsp),
        ("stm32f769i-disco", Isa::Armv7em, Fpu::Double, Vector::Dsp),
        ("nucleo-u575zi-q", Isa::Armv8m, Fpu::Single, Vector::Dsp),
        ("stm32n6570-dk", Isa::Armv8m, Fpu::Double, Vector::Helium),
        ("ek-ra8d1", Isa::Armv8m, Fpu::Double, Vector::Helium),
        ("esp32-c3-devkitm-1", Isa::Rv32imc, Fpu::None, Vector::None),
        ("raspberry-pi-5", Isa::Aarch64, Fpu::Double, Vector::Neon),
    ];
    for (id, isa, fpu, vector) in expected {
        let target = target(id);
        assert_eq!((target.isa, target.fpu, target.vector), (isa, fpu, vector), "{id}");
    }
}

#[test]
fn cm_04_flash_behind_a_cache_is_known() {
    for id in ["raspberry-pi-pico", "teensy-41", "mimxrt1060-evk", "stm32n6570-dk", "esp32-devkit"]
    {
        let board = find(id).unwrap();
        assert!(board.flash_regions().iter().all(|region| region.cached == Some(true)), "{id}");
    }
}

#[test]
fn cm_05_boards_without_fpu_say_so() {
    for id in ["raspberry-pi-pico", "blue-pill", "nucleo-wl55jc", "esp32-c6-devkitc-1"] {
        assert!(!find(id).unwrap().target().has_fpu(), "{id}");
    }
    // E-39: the original ESP32 does have one.
    assert!(find("esp32-devkit").unwrap().target().has_fpu());
}

#[test]
fn esp_01_variants_have_their_vectors_ram_and_largest_block() {
    for id in ["esp32-devkit", "esp32-s3-devkitc-1", "esp32-c3-devkitm-1", "esp32-c6-devkitc-1"] {
        let board = find(id).unwrap();
        assert_eq!(board.total_bytes(RegionKind::Ram), 320 * KIB, "{id}");
    }
    let largest = find("esp32-devkit").unwrap().largest_ram().unwrap();
    assert_eq!((largest.bytes, largest.contiguous), (160 * KIB, true));
    assert!(!find("esp32-s3-devkitc-1").unwrap().largest_ram().unwrap().contiguous);
    let extensions = |id: &str| find(id).unwrap().core.extensions.join(" ");
    assert!(extensions("esp32-s3-devkitc-1").contains("128-bit"));
    assert!(extensions("esp32-devkit").is_empty());
    for id in ["esp32-devkit", "esp32-s3-devkitc-1"] {
        assert!(!find(id).unwrap().core.builds(), "{id}: nothing is built for Xtensa");
    }
    for id in ["esp32-c3-devkitm-1", "esp32-c6-devkitc-1"] {
        assert_eq!(find(id).unwrap().emulator().unwrap().id, "riscv32-virt");
    }
}

#[test]
fn e_14_the_hats_differ_from_the_kit() {
    let hat = find("raspberry-pi-ai-hat-plus-26").unwrap();
    assert_eq!(hat.accelerators[0].tops, Some(26.0));
    assert_eq!(hat.class, Class::Accelerator);
    assert_eq!(find("raspberry-pi-ai-hat-plus-13").unwrap().accelerators[0].tops, Some(13.0));
}

#[test]
fn e_15_orin_nano_tops_are_sparse_and_without_dla() {
    for (id, tops) in [("jetson-orin-nano", 40.0), ("jetson-orin-nano-super", 67.0)] {
        let board = find(id).unwrap();
        let [gpu] = board.accelerators.as_slice() else { panic!("{id} has no DLA") };
        assert_eq!((gpu.tops, gpu.tops_basis.as_deref()), (Some(tops), Some("sparse int8")));
    }
}
