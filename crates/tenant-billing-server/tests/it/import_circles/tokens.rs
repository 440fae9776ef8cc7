//! Rust's source text in pieces, as far as finding paths in it needs them.

/// A word or a sign, and its line.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

/// What is left without comments, strings, characters, lifetimes, numbers and the items for tests.
pub(super) fn product_tokens(source: &str) -> Vec<Token> {
    without_attributes(&tokens(source))
}

fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < text.len() {
        let (length, is_kept) = piece(&text[at..]);
        let piece = &text[at..at + length];
        if is_kept {
            found.push(Token { text: piece.iter().collect(), line });
        }
        line += piece.iter().filter(|it| **it == '\n').count();
        at += length;
    }
    found
}

/// The length of the piece that `text` begins with, and whether it is a word or a sign.
fn piece(text: &[char]) -> (usize, bool) {
    match text {
        ['/', '/', ..] => (text.iter().position(|it| *it == '\n').unwrap_or(text.len()), false),
        ['/', '*', ..] => (block_comment(text), false),
        ['"', ..] => (string(text), false),
        ['\'', ..] => (character(text), false),
        [':', ':', ..] => (2, true),
        [first, ..] if is_of_word(first) => {
            let word = text.iter().take_while(|it| is_of_word(it)).count();
            let literal = literal_after(&text[..word], &text[word..]);
            (word + literal, literal == 0 && !first.is_ascii_digit())
        }
        [first, ..] => (1, !first.is_whitespace()),
        [] => (0, false),
    }
}

fn is_of_word(letter: &char) -> bool {
    letter.is_alphanumeric() || *letter == '_'
}

fn block_comment(text: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match text[at..] {
            ['/', '*', ..] => depth += 1,
            ['*', '/', ..] => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(text: &[char]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// The length of a character, or of the quote before a lifetime's name together with that.
fn character(text: &[char]) -> usize {
    match text {
        ['\'', '\\', _, rest @ ..] => {
            3 + rest.iter().position(|it| *it == '\'').map_or(rest.len(), |it| it + 1)
        }
        ['\'', _, '\'', ..] => 3,
        _ => 1 + text[1..].iter().take_while(|it| is_of_word(it)).count(),
    }
}

/// The length of what follows `word`, if it begins a literal such as `r#"…"#`, `b'…'` or `c"…"`.
fn literal_after(word: &[char], rest: &[char]) -> usize {
    let hashes = rest.iter().take_while(|it| **it == '#').count();
    match (word, rest) {
        (['b' | 'c'], ['"', ..]) => string(rest),
        (['b'], ['\'', ..]) => character(rest),
        (['r'] | ['b' | 'c', 'r'], _) if rest.get(hashes) == Some(&'"') => {
            let end: Vec<char> = ['"'].into_iter().chain(vec!['#'; hashes]).collect();
            let body = hashes + 1;
            let length = rest[body..].windows(end.len()).position(|it| it == end);
            body + length.map_or(rest.len() - body, |it| it + end.len())
        }
        _ => 0,
    }
}

/// Takes attributes away, and with `#[cfg(test)]` the item that it is on.
fn without_attributes(tokens: &[Token]) -> Vec<Token> {
    let (mut kept, mut at, mut for_tests) = (Vec::new(), 0, false);
    while at < tokens.len() {
        let text = |ahead: usize| tokens.get(at + ahead).map_or("", |it| it.text.as_str());
        let opens = if text(1) == "!" { 2 } else { 1 };
        if text(0) == "#" && text(opens) == "[" {
            for_tests |= ["cfg", "(", "test", ")"]
                .iter()
                .enumerate()
                .all(|(ahead, it)| text(2 + ahead) == *it);
            at += opens;
            at += group(&tokens[at..]);
        } else if for_tests {
            at += item(&tokens[at..]);
            for_tests = false;
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The length of what is in brackets of some kind, with them.
fn group(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// The length of an item: to its semicolon, or to the end of its body. Of anything else that can
/// have an attribute (a field, a statement) nothing is taken away.
fn item(tokens: &[Token]) -> usize {
    const WITH_BODY: [&str; 7] = ["mod", "fn", "impl", "struct", "enum", "trait", "macro_rules"];
    const WITHOUT: [&str; 4] = ["use", "const", "static", "type"];
    const BEFORE: [&str; 10] =
        ["pub", "(", "crate", "super", ")", "unsafe", "async", "extern", "const", "!"];
    let is = |among: &[&str], it: &Token| among.contains(&it.text.as_str());
    let head = tokens.iter().take_while(|it| is(&BEFORE, it) || is(&WITHOUT, it)).count();
    let has_body = tokens.get(head).is_some_and(|it| is(&WITH_BODY, it));
    if !has_body && !tokens[..head].iter().any(|it| is(&WITHOUT, it)) {
        return 0;
    }
    let mut at = 0;
    while at < tokens.len() {
        let length = group(&tokens[at..]);
        match tokens[at].text.as_str() {
            ";" => return at + 1,
            "{" if has_body => return at + length,
            _ => at += length,
        }
    }
    at
}
