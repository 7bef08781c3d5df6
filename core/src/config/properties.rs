//! Java's properties syntax (`java.util.Properties.load`), with the number of each line.

/// One entry of a properties text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The line it begins on, from 1.
    pub line: u32,
    /// Unescaped.
    pub key: String,
    /// Unescaped; empty where only a key stands.
    pub value: String,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct PropertyError {
    /// From 1.
    pub line: u32,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads a properties text: `#` and `!` begin comments, `=`, `:` or white space separates, a `\` at the end of a line
/// continues it, `\t \n \r \f \uXXXX` are escapes and any other escaped character is itself.
///
/// # Errors
/// All malformed `\u` escapes, the one thing in which Java finds fault.
pub fn parse(text: &str) -> Result<Vec<Property>, Vec<PropertyError>> {
    let mut properties = Vec::new();
    let mut errors = Vec::new();
    for (line, logical) in logical_lines(text) {
        let (key, value) = split(&logical);
        match (unescape(key), unescape(value)) {
            (Ok(key), Ok(value)) => properties.push(Property { line, key, value }),
            (Err(problem), _) | (_, Err(problem)) => errors.push(PropertyError { line, problem }),
        }
    }
    if errors.is_empty() { Ok(properties) } else { Err(errors) }
}

/// Java's white space inside a line.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Lines with their continuations, without comments and empty ones, each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = Vec::new();
    let mut open: Option<(u32, String)> = None;
    for (number, natural) in (1u32..).zip(unified.split('\n')) {
        let natural = natural.trim_start_matches(is_blank);
        let (first, mut logical) = match open.take() {
            Some(continued) => continued,
            None if natural.is_empty() || natural.starts_with(['#', '!']) => continue,
            None => (number, String::new()),
        };
        let backslashes = natural.chars().rev().take_while(|c| *c == '\\').count();
        if backslashes % 2 == 1 {
            logical.push_str(&natural[..natural.len() - 1]);
            open = Some((first, logical));
        } else {
            logical.push_str(natural);
            lines.push((first, logical));
        }
    }
    lines.extend(open);
    lines
}

/// Key and value, still escaped: at the first separator that no backslash protects.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, c)| {
        let ends = !escaped && (is_blank(*c) || matches!(c, '=' | ':'));
        escaped = *c == '\\' && !escaped;
        ends
    });
    let Some((end, _)) = end else { return (line, "") };
    let rest = line[end..].trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], rest.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
            continue;
        }
        match rest.next() {
            Some('t') => units.push(9),
            Some('n') => units.push(10),
            Some('r') => units.push(13),
            Some('f') => units.push(12),
            Some('u') => {
                let digits: String = rest.by_ref().take(4).collect();
                let hexadecimal = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                match u16::from_str_radix(&digits, 16) {
                    Ok(unit) if hexadecimal => units.push(unit),
                    _ => {
                        return Err(format!(
                            "malformed escape \\u{digits}: four hexadecimal digits must follow"
                        ));
                    }
                }
            }
            Some(other) => units.extend_from_slice(other.encode_utf16(&mut [0; 2])),
            None => {}
        }
    }
    // Escapes are UTF-16 units, two of which may make one character; a lone half is nothing that can be kept.
    Ok(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests;
