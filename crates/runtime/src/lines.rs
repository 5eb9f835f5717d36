//! Cuts a stream into lines of bounded length.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::spec::{LineSink, Stream};

/// A longer line is handed on in pieces of this many bytes.
const LINE_LIMIT: usize = 64 << 10;

/// Hands every line of `from` to `sink`, until its end. A read error counts as the end.
pub(crate) async fn follow(from: impl AsyncRead + Unpin, stream: Stream, sink: LineSink) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while let Ok(bytes) = from.fill_buf().await {
        if bytes.is_empty() {
            break;
        }
        let room = (LINE_LIMIT - line.len()).min(bytes.len());
        let end = bytes[..room].iter().position(|b| *b == b'\n');
        let taken = end.map_or(room, |at| at + 1);
        line.extend_from_slice(&bytes[..taken]);
        from.consume(taken);
        if end.is_some() || line.len() >= LINE_LIMIT {
            hand_on(&mut line, stream, &sink);
        }
    }
    if !line.is_empty() {
        hand_on(&mut line, stream, &sink);
    }
}

fn hand_on(line: &mut Vec<u8>, stream: Stream, sink: &LineSink) {
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    sink(stream, &String::from_utf8_lossy(line));
    line.clear();
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn lines_are_whole_and_bounded() {
        let long = "x".repeat(LINE_LIMIT + 5);
        let text = format!("a\n\nb\r\n{long}\n\u{fffd}end");
        let got = Arc::new(Mutex::new(Vec::new()));
        let sink: LineSink = {
            let got = Arc::clone(&got);
            Arc::new(move |_, line| got.lock().unwrap().push(line.to_owned()))
        };
        follow(text.as_bytes(), Stream::Stdout, sink).await;
        let got = got.lock().unwrap();
        assert_eq!(got[..3], ["a", "", "b\r"]);
        assert_eq!(got[3].len(), LINE_LIMIT);
        assert_eq!(got[4..], ["xxxxx", "\u{fffd}end"]);
    }
}
