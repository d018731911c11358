//! How durations, sizes, commands and lists read.

use std::fmt::Write as _;

/// `1.2 s`, `3 min 5 s`, `2 h`, `3 d`.
#[must_use]
pub fn time(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0 => format!("{seconds:.2} s"),
        1..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86400 => format!("{} h", whole / 3600),
        _ => format!("{} d", whole / 86400),
    }
}

/// How long ago something was, in whole seconds.
#[must_use]
pub fn ago(seconds: u64) -> String {
    if seconds < 60 { format!("{seconds} s ago") } else { format!("{} ago", time(seconds as f64)) }
}

/// A command as a shell takes it.
#[must_use]
pub fn shell(command: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@,+%<>".contains(c);
    let quote = |word: &String| match !word.is_empty() && word.chars().all(plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    };
    command.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// `a, b, c and 4 more`.
#[must_use]
pub fn names(names: &[&str], most: usize) -> String {
    if names.len() <= most {
        return names.join(", ");
    }
    format!("{} and {} more", names[..most].join(", "), names.len() - most)
}

/// `512 B`, `34 KiB`, `5.1 MiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    match bytes {
        0..KIB => format!("{bytes} B"),
        KIB..1_048_576 => format!("{} KiB", bytes / KIB),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// The lines of a text that say something, without the way to a panic, each further in.
#[must_use]
pub fn indented(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    // Where it panicked stands above; the way there is in the log.
    let (before, after) =
        lines.split_at(lines.iter().position(|line| line.trim() == "stack backtrace:").unwrap_or(lines.len()));
    let is_frame = |line: &&&str| {
        let line = line.trim_start();
        let number = line.split(':').next().unwrap_or_default();
        line.starts_with("at ")
            || line.starts_with("stack backtrace")
            || (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
            || line.starts_with("note: Some details are omitted")
    };
    let lines: Vec<&str> = before.iter().chain(after.iter().skip_while(is_frame)).copied().collect();
    let mut shown: String = lines.iter().take(most).map(|line| format!("    {line}\n")).collect();
    if lines.len() > most {
        let _written = writeln!(shown, "    .. {} lines more, in the log", lines.len() - most);
    }
    shown
}
