//! Characters to tokens, one at a time.

use kinglet_diag::{Code, Diagnostic, Failure, Place, code};

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token<'s> {
    /// A name, keyword or number.
    Word(&'s str),
    /// A text in quotes, escapes resolved.
    Text(String),
    /// Any other single character.
    Symbol(char),
    /// Nothing is left.
    End,
}

impl Token<'_> {
    /// As a message speaks of it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Token::Word(word) if word.chars().count() > 40 => {
                format!("{}...", word.chars().take(40).collect::<String>())
            }
            Token::Word(word) => (*word).to_owned(),
            Token::Text(_) => "a text in quotes".to_owned(),
            Token::Symbol(symbol) => format!("{symbol:?}"),
            Token::End => "the end".to_owned(),
        }
    }
}

/// A source with a place in it and the token that comes next.
pub(crate) struct Lexer<'s> {
    source: &'s str,
    /// Byte after `token`.
    end: usize,
    /// Byte at which `token` starts.
    start: usize,
    token: Token<'s>,
}

impl<'s> Lexer<'s> {
    /// Looks at the first token.
    pub(crate) fn new(source: &'s str) -> Result<Self, Failure> {
        let mut lexer = Self { source, end: 0, start: 0, token: Token::End };
        lexer.advance()?;
        Ok(lexer)
    }

    /// The next token, not taken.
    pub(crate) fn peek(&self) -> &Token<'s> {
        &self.token
    }

    /// Where the next token starts.
    pub(crate) fn at(&self) -> usize {
        self.start
    }

    /// Takes the next token.
    pub(crate) fn next(&mut self) -> Result<Token<'s>, Failure> {
        let token = std::mem::replace(&mut self.token, Token::End);
        self.advance()?;
        Ok(token)
    }

    /// Whether the next token is this symbol; takes it if so.
    pub(crate) fn accept(&mut self, symbol: char) -> Result<bool, Failure> {
        let found = self.token == Token::Symbol(symbol);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// Whether the next token is this word; takes it if so.
    pub(crate) fn accept_word(&mut self, word: &str) -> Result<bool, Failure> {
        let found = matches!(self.token, Token::Word(w) if w == word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// Takes this symbol.
    pub(crate) fn expect(&mut self, symbol: char) -> Result<(), Failure> {
        if self.accept(symbol)? { Ok(()) } else { Err(self.unexpected(&format!("{symbol:?}"))) }
    }

    /// Takes a word.
    pub(crate) fn word(&mut self, what: &str) -> Result<&'s str, Failure> {
        match self.token {
            Token::Word(word) => {
                self.advance()?;
                Ok(word)
            }
            _ => Err(self.unexpected(what)),
        }
    }

    /// Takes a text in quotes if there is one.
    pub(crate) fn accept_text(&mut self) -> Result<Option<String>, Failure> {
        match &mut self.token {
            Token::Text(text) => {
                let text = std::mem::take(text);
                self.advance()?;
                Ok(Some(text))
            }
            _ => Ok(None),
        }
    }

    /// Takes a list in brackets, each element by `one`.
    pub(crate) fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        self.expect('[')?;
        let mut list = Vec::new();
        if self.accept(']')? {
            return Ok(list);
        }
        loop {
            list.push(one(self)?);
            if !self.accept(',')? {
                break;
            }
        }
        self.expect(']')?;
        Ok(list)
    }

    /// Takes the bytes of `hex(...)`; the opening parenthesis is the next token.
    pub(crate) fn hex(&mut self) -> Result<Vec<u8>, Failure> {
        if self.token != Token::Symbol('(') {
            return Err(self.unexpected("'('"));
        }
        let rest = self.source.get(self.end..).unwrap_or("");
        let mut bytes = Vec::new();
        let mut high = None;
        for (offset, character) in rest.char_indices() {
            let at = self.end + offset;
            match (character, character.to_digit(16).and_then(|digit| u8::try_from(digit).ok())) {
                (_, Some(digit)) => match high.take() {
                    None => high = Some(digit),
                    Some(high) => bytes.push(high << 4 | digit),
                },
                (')', _) => {
                    if high.is_some() {
                        return Err(self.error(
                            code::TEXT_SYNTAX,
                            at,
                            "half a byte at the end of hex",
                        ));
                    }
                    self.end = at + 1;
                    self.advance()?;
                    return Ok(bytes);
                }
                (c, _) if c.is_whitespace() => {}
                (c, _) => {
                    let message = format!("{c:?} is not a hexadecimal digit");
                    return Err(self.error(code::TEXT_SYNTAX, at, message));
                }
            }
        }
        Err(self.error(code::TEXT_SYNTAX, self.source.len(), "hex(...) is not closed"))
    }

    /// The failure that says the next token is not what it should be.
    pub(crate) fn unexpected(&self, expected: &str) -> Failure {
        let message = format!("expected {expected}, found {}", self.token.describe());
        self.error(code::TEXT_SYNTAX, self.start, message)
    }

    /// A failure at a byte of the source.
    pub(crate) fn error(&self, code: Code, at: usize, message: impl Into<String>) -> Failure {
        self.diagnostic(code, at, message).into()
    }

    /// A diagnostic at a byte of the source, with the help that fits its code in general.
    pub(crate) fn diagnostic(
        &self,
        code: Code,
        at: usize,
        message: impl Into<String>,
    ) -> Diagnostic {
        let before = self.source.get(..at).unwrap_or(self.source);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        let help = if code == code::TEXT_VALUE {
            "write a value that the type can hold"
        } else if code == code::TEXT_TENSOR {
            "declare each tensor once, t0, t1 and so on without a gap"
        } else {
            "the form is described in tests/ops/README.md and in `kinglet explain K0301`"
        };
        Diagnostic::error(code, message)
            .at(Place::Line(u64::try_from(line).unwrap_or(u64::MAX)))
            .at(Place::Other(format!("column {column}")))
            .help(help)
    }

    fn advance(&mut self) -> Result<(), Failure> {
        let rest = self.skip_blank();
        self.start = self.end;
        let Some(first) = rest.chars().next() else {
            self.token = Token::End;
            return Ok(());
        };
        if is_word(first) {
            let mut previous = ' ';
            let len = rest.find(|c| {
                let inside = is_word(c) || (c == '+' && matches!(previous, 'e' | 'E'));
                previous = c;
                !inside
            });
            let word = rest.get(..len.unwrap_or(rest.len())).unwrap_or("");
            self.end = self.start + word.len();
            self.token = Token::Word(word);
        } else if first == '"' {
            let (text, len) = self.text(rest)?;
            self.end = self.start + len;
            self.token = Token::Text(text);
        } else {
            self.end = self.start + first.len_utf8();
            self.token = Token::Symbol(first);
        }
        Ok(())
    }

    /// Moves past spaces and comments; gives what is left.
    fn skip_blank(&mut self) -> &'s str {
        let mut rest = self.source.get(self.end..).unwrap_or("");
        loop {
            rest = rest.trim_start();
            match rest.strip_prefix('#') {
                Some(comment) => {
                    rest = comment.get(comment.find('\n').unwrap_or(comment.len())..).unwrap_or("")
                }
                None => break,
            }
        }
        self.end = self.source.len() - rest.len();
        rest
    }

    /// Reads a text in quotes at the start of `rest`; gives it and its length in the source.
    fn text(&self, rest: &str) -> Result<(String, usize), Failure> {
        let mut text = String::new();
        let mut characters = rest.char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            let at = self.start + offset;
            match character {
                '"' => return Ok((text, offset + 1)),
                '\n' => {
                    return Err(self.error(
                        code::TEXT_SYNTAX,
                        at,
                        "the text in quotes is not closed on its line",
                    ));
                }
                '\\' => text.push(match characters.next().map(|(_, c)| c) {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(c @ ('"' | '\\')) => c,
                    Some('u') => {
                        let digits: String = characters
                            .by_ref()
                            .map(|(_, c)| c)
                            .take(8)
                            .take_while(|&c| c != '}')
                            .collect();
                        let value =
                            digits.strip_prefix('{').and_then(|d| u32::from_str_radix(d, 16).ok());
                        match value.and_then(char::from_u32) {
                            Some(c) => c,
                            None => {
                                let message = "expected a character's number, as in \\u{1f600}";
                                return Err(self.error(code::TEXT_SYNTAX, at, message));
                            }
                        }
                    }
                    _ => {
                        let message =
                            "unknown escape; there are \\n \\t \\r \\\" \\\\ and \\u{...}";
                        return Err(self.error(code::TEXT_SYNTAX, at, message));
                    }
                }),
                c => text.push(c),
            }
        }
        let message = "the text in quotes is not closed";
        Err(self.error(code::TEXT_SYNTAX, self.source.len(), message))
    }
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-')
}
