//! Decompresses one layer, checks its diff_id (config.md, `rootfs`), and hands the tar to a reader on
//! another thread: inflating and hashing run beside writing files.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use perijove_oci::{Digest, Digester};

const PIECE: usize = 256 << 10;
const PIECES: usize = 8;

/// How a layer's bytes are compressed. The first bytes say it; media types are often wrong in the wild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

fn sniff(head: &[u8]) -> Compression {
    match head {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        // RFC 8878: a frame, or a skippable frame (3.1.1, 3.1.2).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

/// The layer as tar: gzip of any number of members (RFC 1952), zstd of any number of frames, or plain.
fn decompress(file: File) -> io::Result<Box<dyn Read + Send>> {
    let mut reader = BufReader::with_capacity(PIECE, file);
    Ok(match sniff(reader.fill_buf()?) {
        Compression::None => Box::new(reader),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(reader)?),
    })
}

/// Reads the layer at `path` through `take`, which gets its tar. Gives the bytes of the tar.
///
/// # Errors
/// A text when the layer is damaged, longer than `limit` bytes as tar, not what `diff_id` says, or when
/// `take` fails.
pub fn layer<E>(
    path: &Path,
    diff_id: &Digest,
    limit: u64,
    take: impl FnOnce(&mut dyn Read) -> Result<(), E>,
    error: impl Fn(String) -> E,
) -> Result<u64, E> {
    let file = File::open(path).map_err(|e| error(e.to_string()))?;
    let (sender, receiver) = sync_channel(PIECES);
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || produce(file, diff_id, limit, &sender));
        let taken = {
            let mut pieces = Pieces { receiver, piece: Vec::new(), at: 0 };
            let taken = take(&mut pieces);
            if taken.is_ok() {
                // What follows the archive's end mark counts for the digest.
                while pieces.receiver.recv().is_ok() {}
            }
            taken
        };
        // A damaged stream also ends the tar early: its own error says more, so it comes first.
        match reading.join().unwrap_or_else(|_| Err(Stop::Failed("reading it failed".to_owned()))) {
            Ok(bytes) => taken.map(|()| bytes),
            Err(Stop::Unwanted) => match taken {
                Err(e) => Err(e),
                Ok(()) => Err(error("reading it ended early".to_owned())),
            },
            Err(Stop::Failed(reason)) => Err(error(reason)),
        }
    })
}

enum Stop {
    /// The taker left: it failed, and says why.
    Unwanted,
    Failed(String),
}

fn produce(file: File, diff_id: &Digest, limit: u64, sender: &SyncSender<Vec<u8>>) -> Result<u64, Stop> {
    let failed = |e: io::Error| Stop::Failed(format!("cannot be decompressed: {e}"));
    let mut reader = decompress(file).map_err(failed)?;
    let mut digester = Digester::new(diff_id.algorithm());
    let mut total = 0u64;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        reader.by_ref().take(PIECE as u64).read_to_end(&mut piece).map_err(failed)?;
        if piece.is_empty() {
            break;
        }
        total += piece.len() as u64;
        if total > limit {
            return Err(Stop::Failed(format!("it unpacks to more than {limit} bytes")));
        }
        digester.update(&piece);
        sender.send(piece).map_err(|_| Stop::Unwanted)?;
    }
    let found = digester.finish();
    if found == *diff_id {
        Ok(total)
    } else {
        Err(Stop::Failed(format!("its content is {found}, the configuration says {diff_id}")))
    }
}

struct Pieces {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            match self.receiver.recv() {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let n = out.len().min(self.piece.len() - self.at);
        out[..n].copy_from_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
