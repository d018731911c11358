//! The machine: how many jobs it has cores and memory for.

use std::env;
use std::fs;
use std::path::Path;
use std::thread;

use super::toolchain::find;

/// How many cores this process may use.
#[must_use]
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Memory that is to be had, in MiB: the machine's, or what is left of the control group's; none where neither tells.
#[must_use]
pub fn memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let number = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse::<u64>().ok();
    let group = number("memory.max").zip(number("memory.current"));
    let group = group.map(|(most, used)| most.saturating_sub(used) / (1024 * 1024));
    machine.into_iter().chain(group).min()
}

/// `MemAvailable` of `/proc/meminfo`, in MiB.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
}

/// How many jobs there are cores and memory for: at least one.
#[must_use]
pub fn jobs(cores: usize, memory: Option<u64>, memory_per_job: u64) -> usize {
    let fitting =
        memory.map_or(usize::MAX, |memory| usize::try_from(memory / memory_per_job.max(1)).unwrap_or(usize::MAX));
    cores.min(fitting).max(1)
}

/// What runs programs for `target` here: none where the machine does so itself; else the emulator, or why there is none.
#[must_use]
pub fn emulator(target: &str) -> Option<Result<String, String>> {
    let machine = target.split('-').next().unwrap_or_default();
    if !target.contains("-linux-") || !cfg!(target_os = "linux") {
        return Some(Err(format!("programs for {target} do not start on this system")));
    }
    // The names of qemu's user mode.
    let name = match machine {
        "i386" | "i586" | "i686" => "i386",
        "powerpc" => "ppc",
        "powerpc64" => "ppc64",
        "powerpc64le" => "ppc64le",
        "riscv64gc" | "riscv64a23" => "riscv64",
        arm if arm.starts_with("arm") || arm.starts_with("thumb") => "arm",
        other => other,
    };
    if name == env::consts::ARCH || (name, env::consts::ARCH) == ("i386", "x86_64") {
        return None;
    }
    let names = [format!("qemu-{name}-static"), format!("qemu-{name}")];
    let found = names.iter().find(|name| find(Path::new("/"), name).is_some()).cloned();
    Some(found.ok_or_else(|| format!("no emulator: qemu-{name}-static is not installed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_lowers_the_number_of_jobs_but_not_to_none() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   8388608 kB\n"), Some(8192));
        assert_eq!(jobs(16, Some(8192), 2048), 4);
        assert_eq!(jobs(2, Some(8192), 2048), 2);
        assert_eq!(jobs(8, Some(100), 2048), 1);
        assert_eq!(jobs(8, None, 2048), 8);
    }
}
