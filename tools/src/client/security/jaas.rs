//! `sasl.jaas.config`: a login module, a control flag and options, in the grammar of Kafka's `JaasConfig`, which is that of
//! `java.io.StreamTokenizer`: quotes of both kinds with escapes, three kinds of comments, and words that no digit begins.

use std::{collections::BTreeMap, iter::Peekable, str::Chars};

/// One login module with its options. It has no `Debug`: options hold passwords.
pub struct Login {
    /// The class.
    pub module: String,
    /// By name.
    pub options: BTreeMap<String, String>,
}

enum Token {
    /// A word, or what stood in quotes.
    Text(String),
    /// A number on its own, which is no text: Kafka wants quotes around it.
    Number,
    /// Any other letter.
    Sign(char),
}

/// Reads the one login module of a client.
///
/// # Errors
/// In Kafka's words, without anything that might be a secret.
pub fn parse(text: &str) -> Result<Login, String> {
    let mut tokens = Tokens(text.chars().peekable());
    let mut logins = Vec::new();
    while let Some(first) = tokens.next() {
        logins.push(entry(first, &mut tokens)?);
    }
    match logins.len() {
        0 => Err("Login module not specified in JAAS config".into()),
        1 => logins.pop().ok_or_else(String::new),
        count => Err(format!("JAAS config property contains {count} login modules, should be 1 module")),
    }
}

fn entry(first: Token, tokens: &mut Tokens<'_>) -> Result<Login, String> {
    let Token::Text(module) = first else { return Err("Login module not specified in JAAS config".into()) };
    match tokens.next() {
        None => return Err("Login module control flag not specified in JAAS config".into()),
        Some(Token::Text(flag)) => {
            let known = ["REQUIRED", "REQUISITE", "SUFFICIENT", "OPTIONAL"];
            if !known.contains(&flag.to_ascii_uppercase().as_str()) {
                return Err("Invalid login module control flag in JAAS config".into());
            }
        }
        Some(_) => return Err("Login module control flag is not available in the JAAS config".into()),
    }
    let mut options = BTreeMap::new();
    loop {
        let key = match tokens.next() {
            None => return Err("JAAS config entry not terminated by semi-colon".into()),
            Some(Token::Sign(';')) => return Ok(Login { module, options }),
            Some(Token::Text(key)) => key,
            Some(_) => return Err(without_value("")),
        };
        match (tokens.next(), tokens.next()) {
            (Some(Token::Sign('=')), Some(Token::Text(value))) => options.insert(key, value),
            _ => return Err(without_value(&key)),
        };
    }
}

/// A key that is not one of those known may be a password whose name is missing.
fn without_value(key: &str) -> String {
    match key {
        "username" | "password" | "tokenauth" => {
            format!("Value not specified for key '{key}' in JAAS config")
        }
        _ => "Value not specified for a key in JAAS config".into(),
    }
}

struct Tokens<'a>(Peekable<Chars<'a>>);

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let letter = self.0.next()?;
            match letter {
                '\0'..=' ' => (),
                '/' => self.skip_comment(),
                '"' | '\'' => return Some(Token::Text(self.quoted(letter))),
                // A minus is both; Kafka's tokenizer tries numbers first.
                '0'..='9' | '.' | '-' => return Some(self.number(letter)),
                _ if is_word(letter) => {
                    let mut word = String::from(letter);
                    while let Some(next) = self.0.next_if(|next| is_word(*next)) {
                        word.push(next);
                    }
                    return Some(Token::Text(word));
                }
                sign => return Some(Token::Sign(sign)),
            }
        }
    }
}

impl Tokens<'_> {
    fn number(&mut self, first: char) -> Token {
        let is_digit = |letter: &char| letter.is_ascii_digit() || *letter == '.';
        if first == '-' && !self.0.peek().is_some_and(is_digit) {
            return Token::Sign('-');
        }
        // What follows the number is a token of its own.
        while self.0.next_if(is_digit).is_some() {}
        Token::Number
    }

    /// To the end of the line, or of the comment.
    fn skip_comment(&mut self) {
        if self.0.next_if_eq(&'*').is_none() {
            while self.0.next_if(|letter| !matches!(letter, '\n' | '\r')).is_some() {}
            return;
        }
        let mut before = ' ';
        for letter in self.0.by_ref() {
            if before == '*' && letter == '/' {
                return;
            }
            before = letter;
        }
    }

    /// To the same quote, or to the end of the line.
    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        while let Some(letter) = self.0.next_if(|letter| !matches!(letter, '\n' | '\r')) {
            match letter {
                _ if letter == quote => break,
                '\\' => match self.0.next() {
                    Some(escaped) => text.push(self.escaped(escaped)),
                    None => break,
                },
                _ => text.push(letter),
            }
        }
        text
    }

    fn escaped(&mut self, letter: char) -> char {
        let digit = |letter: char| letter.to_digit(8);
        match letter {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '0'..='7' => {
                let mut code = digit(letter).unwrap_or_default();
                // Three digits only where they stay within a byte.
                let more = if letter <= '3' { 2 } else { 1 };
                for _ in 0..more {
                    let Some(next) = self.0.next_if(|next| digit(*next).is_some()) else { break };
                    code = code * 8 + digit(next).unwrap_or_default();
                }
                char::from_u32(code).unwrap_or_default()
            }
            other => other,
        }
    }
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-_$.".contains(letter) || letter >= '\u{a0}'
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";

    fn options(text: &str) -> Vec<(String, String)> {
        let login = parse(&format!("{PLAIN} required {text};")).unwrap_or_else(|told| panic!("{told}"));
        assert_eq!(login.module, PLAIN);
        login.options.into_iter().collect()
    }

    fn refused(text: &str) -> String {
        match parse(text) {
            Ok(_) => panic!("{text} is taken"),
            Err(told) => told,
        }
    }

    #[test]
    fn options_are_words_or_stand_in_quotes() {
        let pair = |password: &str| vec![("password".to_owned(), password.to_owned())];
        assert_eq!(options("password=alice-secret"), pair("alice-secret"));
        assert_eq!(options("password = \"a b;=/#\""), pair("a b;=/#"));
        assert_eq!(options("password='it is \"quoted\"'"), pair("it is \"quoted\""));
        assert_eq!(options(r#"password="a\"b\\c\101\t\7x""#), pair("a\"b\\cA\t\u{7}x"));
        assert_eq!(options("password=größer_$1"), pair("größer_$1"));
    }

    #[test]
    fn comments_and_lines_are_skipped() {
        let text = "username=ann // who\n  /* how\n */ password=\"p\" / the rest\n";
        let expected = [("password".into(), "p".into()), ("username".into(), "ann".into())];
        assert_eq!(options(text), expected);
    }

    #[test]
    fn what_is_wrong_is_told_in_kafkas_words_and_without_the_secret() {
        assert_eq!(refused(""), "Login module not specified in JAAS config");
        assert_eq!(refused(PLAIN), "Login module control flag not specified in JAAS config");
        assert_eq!(refused("A sometimes;"), "Invalid login module control flag in JAAS config");
        assert_eq!(refused("A required password=\"x\""), "JAAS config entry not terminated by semi-colon");
        // A number is no text.
        assert_eq!(
            refused("A required password=123;"),
            "Value not specified for key 'password' in JAAS config"
        );
        assert_eq!(refused("A required password;"), "Value not specified for key 'password' in JAAS config");
        assert!(!refused("A required \"sesame\";").contains("sesame"));
        assert!(refused("A required; B required;").contains("contains 2 login modules"));
    }
}
