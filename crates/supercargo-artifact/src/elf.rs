//! Reads ELF programs (System V gABI, chapters 4 and 5): for which machine, what they load, and which parts they have.

use std::fmt;
use std::ops::Range;

use object::Endianness;
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader};

/// Longest text and longest list that is believed: no real program comes near.
const LONGEST: usize = 4096;

/// Most sections that are believed.
const MOST: usize = 65_536;

/// What a program is made for, and what it asks of the system that starts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The machine that it runs on.
    pub machine: Machine,
    /// What kind of file it is.
    pub kind: Kind,
    /// The dynamic loader that it asks for (`PT_INTERP`); none in a static program.
    pub interpreter: Option<String>,
    /// The libraries that it asks for (`DT_NEEDED`), in their order; none in a static program.
    pub needed: Vec<String>,
}

/// What kind of ELF file it is (`e_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A program at a fixed address (`ET_EXEC`).
    Fixed,
    /// A program at any address, or a shared library (`ET_DYN`).
    Movable,
    /// What a compiler hands to a linker (`ET_REL`).
    Object,
    /// What is left of a program that died (`ET_CORE`).
    Core,
    /// Any other number.
    Other(u16),
}

/// A machine, as the ELF header has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The architecture's number (`e_machine`).
    pub architecture: u16,
    /// 32 or 64.
    pub bits: u8,
    /// Whether the least significant byte comes first.
    pub little: bool,
}

/// A named part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The section's name, or `the ELF header`, `the program headers`, `the section headers`.
    pub name: String,
    /// Where it lies, in bytes from the file's beginning.
    pub range: Range<usize>,
}

impl Machine {
    /// The machine that a Rust target triple means; none for a triple that is not known here.
    #[must_use]
    pub fn of(triple: &str) -> Option<Self> {
        let name = triple.split('-').next().unwrap_or_default();
        let short = ["x32", "ilp32", "abin32"].iter().any(|abi| triple.contains(abi));
        let wide = if short { 32 } else { 64 };
        let of = |machine: elf::Machine, bits, little| Some(Self { architecture: machine.0, bits, little });
        match name {
            "x86_64" | "x86_64h" => of(elf::EM_X86_64, wide, true),
            "i386" | "i486" | "i586" | "i686" => of(elf::EM_386, 32, true),
            "aarch64" | "arm64e" => of(elf::EM_AARCH64, wide, true),
            "aarch64_be" => of(elf::EM_AARCH64, wide, false),
            "powerpc" => of(elf::EM_PPC, 32, false),
            "powerpc64" => of(elf::EM_PPC64, 64, false),
            "powerpc64le" => of(elf::EM_PPC64, 64, true),
            "s390x" => of(elf::EM_S390, 64, false),
            "loongarch64" => of(elf::EM_LOONGARCH, 64, true),
            "loongarch32" => of(elf::EM_LOONGARCH, 32, true),
            "sparc" => of(elf::EM_SPARC, 32, false),
            "sparc64" | "sparcv9" => of(elf::EM_SPARCV9, 64, false),
            "m68k" => of(elf::EM_68K, 32, false),
            "hexagon" => of(elf::EM_HEXAGON, 32, true),
            _ if name.starts_with("riscv64") => of(elf::EM_RISCV, 64, true),
            _ if name.starts_with("riscv32") => of(elf::EM_RISCV, 32, true),
            _ if name.starts_with("csky") => of(elf::EM_CSKY, 32, true),
            _ if name.starts_with("mips") => {
                let bits = if name.starts_with("mips64") || name.starts_with("mipsisa64") { wide } else { 32 };
                of(elf::EM_MIPS, bits, name.ends_with("el"))
            }
            _ if name.starts_with("arm") || name.starts_with("thumb") => {
                of(elf::EM_ARM, 32, !(name.starts_with("armeb") || name.starts_with("thumbeb")))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match elf::Machine(self.architecture) {
            elf::EM_X86_64 => "x86-64",
            elf::EM_386 => "x86",
            elf::EM_AARCH64 => "AArch64",
            elf::EM_ARM => "Arm",
            elf::EM_PPC => "PowerPC",
            elf::EM_PPC64 => "PowerPC64",
            elf::EM_S390 => "S/390",
            elf::EM_LOONGARCH => "LoongArch",
            elf::EM_RISCV => "RISC-V",
            elf::EM_MIPS => "MIPS",
            elf::EM_SPARC | elf::EM_SPARCV9 => "SPARC",
            elf::EM_68K => "m68k",
            elf::EM_HEXAGON => "Hexagon",
            elf::EM_CSKY => "C-SKY",
            _ => "",
        };
        let end = if self.little { "little-endian" } else { "big-endian" };
        match name {
            "" => write!(f, "machine {} ({} bits, {end})", self.architecture, self.bits),
            name => write!(f, "{name} ({} bits, {end})", self.bits),
        }
    }
}

impl Program {
    /// How the machine differs from the one that the Rust target `triple` means; nothing for a triple that is not known.
    #[must_use]
    pub fn mismatch(&self, triple: &str) -> Option<String> {
        let meant = Machine::of(triple)?;
        (meant != self.machine).then(|| format!("is made for {}, and `{triple}` is {meant}", self.machine))
    }

    /// Why this is not a program that can be shipped for the Rust target `triple`: what follows "the program ". For musl
    /// targets, it must be static.
    #[must_use]
    pub fn faults(&self, triple: &str) -> Vec<String> {
        let mut faults = Vec::new();
        match self.kind {
            Kind::Fixed | Kind::Movable => {}
            Kind::Object => faults.push("is an object file, which was not linked (ET_REL)".to_owned()),
            Kind::Core => faults.push("is the dump of a process (ET_CORE)".to_owned()),
            Kind::Other(number) => faults.push(format!("is of no kind that can be started (e_type {number})")),
        }
        faults.extend(self.mismatch(triple));
        if triple.contains("-musl") {
            let loader = self.interpreter.iter().map(|path| format!("is not static: it asks for the loader `{path}`"));
            let needed = self.needed.iter().map(|name| format!("is not static: it needs the library `{name}`"));
            faults.extend(loader.chain(needed));
        }
        faults
    }
}

/// Parses an ELF file.
///
/// # Errors
/// One line on what is wrong with it: what is no ELF file, and what does not hold all that its headers speak of.
pub fn parse(bytes: &[u8]) -> Result<Program, String> {
    match bits(bytes)? {
        32 => read_program::<elf::FileHeader32<Endianness>>(bytes),
        _ => read_program::<elf::FileHeader64<Endianness>>(bytes),
    }
}

/// The parts of an ELF file that have a name and are not empty, in the order in which they begin.
///
/// # Errors
/// As [`parse`].
pub fn parts(bytes: &[u8]) -> Result<Vec<Part>, String> {
    match bits(bytes)? {
        32 => read_parts::<elf::FileHeader32<Endianness>>(bytes),
        _ => read_parts::<elf::FileHeader64<Endianness>>(bytes),
    }
}

/// How many bits addresses have.
fn bits(bytes: &[u8]) -> Result<u8, String> {
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err("it is no ELF file".to_owned());
    }
    match bytes.get(4) {
        Some(1) => Ok(32),
        Some(2) => Ok(64),
        _ => Err("its ELF class is neither 32 nor 64 bits".to_owned()),
    }
}

fn read_program<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Program, String> {
    let header = H::parse(bytes).map_err(|error| error.to_string())?;
    let endian = header.endian().map_err(|error| error.to_string())?;
    // What is cut off has lost its section headers, which come last, or some of what they speak of.
    read_parts::<H>(bytes)?;
    let segments = header.program_headers(endian, bytes).map_err(|error| error.to_string())?;
    let mut interpreter = None;
    let mut needed = Vec::new();
    for segment in segments {
        if segment.p_type(endian) != elf::PT_NULL {
            segment.data(endian, bytes).map_err(|()| "a segment lies out of the file".to_owned())?;
        }
        if let Some(path) = segment.interpreter(endian, bytes).map_err(|error| error.to_string())? {
            interpreter = Some(text(path)?);
        }
        if let Some(entries) = segment.dynamic(endian, bytes).map_err(|error| error.to_string())? {
            needed = libraries::<H>(bytes, endian, segments, entries)?;
        }
    }
    let kind = match header.e_type(endian) {
        elf::ET_EXEC => Kind::Fixed,
        elf::ET_DYN => Kind::Movable,
        elf::ET_REL => Kind::Object,
        elf::ET_CORE => Kind::Core,
        other => Kind::Other(other.0),
    };
    let bits = if header.is_type_64() { 64 } else { 32 };
    let machine = Machine { architecture: header.e_machine(endian).0, bits, little: header.is_little_endian() };
    Ok(Program { machine, kind, interpreter, needed })
}

/// The names of `DT_NEEDED`, looked up as the loader does: section headers may be gone.
fn libraries<H: FileHeader<Endian = Endianness>>(
    bytes: &[u8],
    endian: Endianness,
    segments: &[H::ProgramHeader],
    entries: &[H::Dyn],
) -> Result<Vec<String>, String> {
    let entries = || entries.iter().take_while(|entry| entry.tag(endian) != elf::DT_NULL);
    let offsets = || entries().filter(|entry| entry.tag(endian) == elf::DT_NEEDED).map(|entry| entry.val(endian));
    match offsets().count() {
        0 => return Ok(Vec::new()),
        count if count > LONGEST => return Err(format!("it asks for {count} libraries")),
        _ => {}
    }
    let value = |tag| entries().find(|entry| entry.tag(endian) == tag).map(|entry| entry.val(endian));
    let (Some(address), Some(size)) = (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) else {
        return Err("it asks for libraries and has no names".to_owned());
    };
    let loaded = |segment: &&H::ProgramHeader| segment.p_type(endian) == elf::PT_LOAD;
    let names = segments
        .iter()
        .filter(loaded)
        .find_map(|segment| segment.data_range(endian, bytes, address, size).ok().flatten())
        .ok_or("the names of its libraries lie out of the file")?;
    let name = |offset: u64| {
        let rest = usize::try_from(offset).ok().and_then(|offset| names.get(offset..));
        let rest = rest.ok_or("the name of a library lies out of the file")?;
        text(&rest[..memchr::memchr(0, rest).ok_or("the name of a library does not end")?])
    };
    offsets().map(name).collect()
}

fn text(bytes: &[u8]) -> Result<String, String> {
    if bytes.len() > LONGEST {
        return Err(format!("a name has {} bytes", bytes.len()));
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn read_parts<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Vec<Part>, String> {
    let header = H::parse(bytes).map_err(|error| error.to_string())?;
    let endian = header.endian().map_err(|error| error.to_string())?;
    let segments = header.program_headers(endian, bytes).map_err(|error| error.to_string())?;
    let sections = header.sections(endian, bytes).map_err(|error| error.to_string())?;
    if sections.len() > MOST {
        return Err(format!("it has {} sections", sections.len()));
    }
    let mut parts = Vec::new();
    let mut add = |name: String, start: u64, size: u64| {
        let range = start
            .checked_add(size)
            .filter(|end| *end <= bytes.len() as u64)
            .and_then(|end| Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?));
        let range = range.ok_or_else(|| format!("{name} lies out of the file"))?;
        if !range.is_empty() {
            parts.push(Part { name, range });
        }
        Ok::<(), String>(())
    };
    add("the ELF header".into(), 0, size_of::<H>() as u64)?;
    add("the program headers".into(), header.e_phoff(endian).into(), size_of_val(segments) as u64)?;
    for section in sections.iter() {
        let Some((start, size)) = section.file_range(endian).filter(|_| section.sh_type(endian) != elf::SHT_NULL)
        else {
            continue;
        };
        let name = sections.section_name(endian, section).map_err(|error| error.to_string())?;
        add(text(name)?, start, size)?;
    }
    let headers = sections.len() * size_of::<H::SectionHeader>();
    add("the section headers".into(), header.e_shoff(endian).into(), headers as u64)?;
    parts.sort_by_key(|part| part.range.start);
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of headers alone: 64 or 32 bits, and each segment's (type, offset, size), loaded at its offset.
    fn made(bits: u8, little: bool, machine: u16, kind: u16, segments: &[(u32, u64, u64)], rest: &[u8]) -> Vec<u8> {
        let mut bytes = [0x7f, b'E', b'L', b'F', bits / 32, 2 - u8::from(little), 1].to_vec();
        bytes.resize(16, 0);
        let put = |bytes: &mut Vec<u8>, value: u64, size: usize| {
            let all = if little { value.to_le_bytes() } else { value.to_be_bytes() };
            bytes.extend(if little { &all[..size] } else { &all[8 - size..] });
        };
        let (word, header, segment) = if bits == 64 { (8, 64, 56) } else { (4, 52, 32) };
        for (value, size) in [(u64::from(kind), 2), (machine.into(), 2), (1, 4), (0, word), (header, word), (0, word)] {
            put(&mut bytes, value, size);
        }
        for (value, size) in [(0, 4), (header, 2), (segment, 2), (segments.len() as u64, 2), (0, 2), (0, 2), (0, 2)] {
            put(&mut bytes, value, size);
        }
        for (kind, offset, length) in segments {
            put(&mut bytes, (*kind).into(), 4);
            if bits == 64 {
                put(&mut bytes, 4, 4);
            }
            for value in [*offset, *offset, *offset, *length, *length] {
                put(&mut bytes, value, word);
            }
            if bits == 32 {
                put(&mut bytes, 4, 4);
            }
            put(&mut bytes, 1, word);
        }
        bytes.extend(rest);
        bytes
    }

    /// The bytes of a 64-bit little-endian dynamic section.
    fn dynamic(entries: &[(u64, u64)]) -> Vec<u8> {
        entries.iter().flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()].concat()).collect()
    }

    /// A 64-bit program with a dynamic section of `entries` after its headers, and `names` after that.
    fn dynamic_program(entries: &[(u64, u64)], names: &[u8]) -> Vec<u8> {
        let start = 64 + 2 * 56;
        let entries = dynamic(entries);
        let end = start + (entries.len() + names.len()) as u64;
        let segments = [(1, 0, end), (2, start, entries.len() as u64)];
        made(64, true, 62, 3, &segments, &[entries.as_slice(), names].concat())
    }

    #[test]
    fn machines_and_the_targets_that_mean_them() {
        let targets = [
            (64, true, 62, "x86_64-unknown-linux-musl"),
            (32, true, 62, "x86_64-unknown-linux-gnux32"),
            (32, true, 3, "i586-unknown-linux-musl"),
            (64, true, 183, "aarch64-unknown-linux-gnu"),
            (64, false, 183, "aarch64_be-unknown-linux-gnu"),
            (32, true, 40, "armv7-unknown-linux-musleabihf"),
            (32, false, 40, "armeb-unknown-linux-gnueabi"),
            (64, true, 243, "riscv64gc-unknown-linux-gnu"),
            (32, true, 243, "riscv32imac-unknown-none-elf"),
            (32, false, 20, "powerpc-unknown-linux-gnu"),
            (64, false, 21, "powerpc64-unknown-linux-gnu"),
            (64, true, 21, "powerpc64le-unknown-linux-gnu"),
            (64, false, 22, "s390x-unknown-linux-gnu"),
            (64, true, 258, "loongarch64-unknown-linux-musl"),
            (32, false, 8, "mips-unknown-linux-gnu"),
            (32, true, 8, "mipsel-unknown-linux-musl"),
            (64, false, 8, "mips64-unknown-linux-gnuabi64"),
            (64, true, 8, "mipsisa64r6el-unknown-linux-gnuabi64"),
        ];
        for (n, (bits, little, machine, triple)) in targets.iter().enumerate() {
            let program = parse(&made(*bits, *little, *machine, 3, &[], &[])).unwrap();
            assert_eq!(program.faults(triple), [""; 0], "{triple}");
            for (m, (.., other)) in targets.iter().enumerate() {
                assert_eq!(program.mismatch(other).is_none(), n == m, "{triple} {other}");
            }
            assert_eq!(program.mismatch("wasm32-wasip1"), None);
        }
        let arm = parse(&made(64, true, 183, 2, &[], &[])).unwrap();
        let said = "is made for AArch64 (64 bits, little-endian), and `s390x-x` is S/390 (64 bits, big-endian)";
        assert_eq!(arm.mismatch("s390x-x").unwrap(), said);
    }

    #[test]
    fn a_static_program_asks_for_nothing() {
        let musl = "x86_64-unknown-linux-musl";
        let fixed = parse(&made(64, true, 62, 2, &[(1, 0, 64)], &[])).unwrap();
        assert_eq!((fixed.kind, fixed.faults(musl)), (Kind::Fixed, vec![]));
        let movable = parse(&dynamic_program(&[(30, 8), (0, 0), (1, 99)], b"")).unwrap();
        assert_eq!((movable.kind, movable.faults(musl)), (Kind::Movable, vec![]));
        let loader = made(64, true, 62, 3, &[(3, 64 + 56, 7)], b"/lib/x\0");
        assert_eq!(parse(&loader).unwrap().faults(musl), ["is not static: it asks for the loader `/lib/x`"]);
        assert_eq!(parse(&loader).unwrap().faults("x86_64-unknown-linux-gnu"), [""; 0]);
        let names = b"\0libc.so.6\0libm.so\0";
        let address = 64 + 2 * 56 + 5 * 16;
        let entries = [(1, 1), (5, address), (10, names.len() as u64), (1, 11), (0, 0)];
        let needs = parse(&dynamic_program(&entries, names)).unwrap();
        assert_eq!(needs.needed, ["libc.so.6", "libm.so"]);
        let said = ["libc.so.6", "libm.so"].map(|name| format!("is not static: it needs the library `{name}`"));
        assert_eq!(needs.faults(musl), said);
    }

    #[test]
    fn what_cannot_be_started_is_told() {
        for (kind, said) in
            [(1, "is an object file, which was not linked (ET_REL)"), (4, "is the dump of a process (ET_CORE)")]
        {
            let program = parse(&made(64, true, 62, kind, &[], &[])).unwrap();
            assert_eq!(program.faults("x86_64-unknown-linux-gnu"), [said]);
        }
        let odd = parse(&made(64, true, 62, 9, &[], &[])).unwrap();
        assert_eq!(odd.faults("x86_64-unknown-linux-gnu"), ["is of no kind that can be started (e_type 9)"]);
    }

    #[test]
    fn rubbish_is_refused() {
        let address = 64 + 2 * 56 + 4 * 16;
        let needs = |offset, at, size| dynamic_program(&[(1, offset), (5, at), (10, size), (0, 0)], b"\0a\0b");
        assert_eq!(parse(&needs(1, address, 3)).unwrap().needed, ["a"]);
        for (bytes, said) in [
            (b"".to_vec(), "it is no ELF file"),
            (b"#!/bin/sh\n".to_vec(), "it is no ELF file"),
            (b"\x7fELF".to_vec(), "its ELF class is neither 32 nor 64 bits"),
            (made(64, true, 62, 3, &[], &[])[..63].to_vec(), "Invalid ELF header size or alignment"),
            (made(64, true, 62, 3, &[(1, 0, 121)], &[]), "a segment lies out of the file"),
            (made(64, true, 62, 3, &[(1, u64::MAX, 2)], &[]), "a segment lies out of the file"),
            (made(64, true, 62, 3, &[(3, 120, 2)], b"ab"), "Invalid ELF interpreter segment data"),
            (needs(3, address, 4), "the name of a library does not end"),
            (needs(9, address, 4), "the name of a library lies out of the file"),
            (needs(u64::MAX, address, 4), "the name of a library lies out of the file"),
            (needs(1, address, 5), "the names of its libraries lie out of the file"),
            (needs(1, u64::MAX, u64::MAX), "the names of its libraries lie out of the file"),
            (dynamic_program(&[(1, 1), (0, 0)], b"\0a\0"), "it asks for libraries and has no names"),
            (dynamic_program(&vec![(1, 1); 5000], b""), "it asks for 5000 libraries"),
        ] {
            assert_eq!(parse(&bytes).unwrap_err(), said);
        }
    }
}
