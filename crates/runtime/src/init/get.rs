//! One plain HTTP/1.1 GET, made in the network that this process is in. Only the status line is read.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::protocol::Get;

/// Longest status line taken, in bytes.
const LINE_LIMIT: u64 = 4096;

/// The status, or why there is none.
pub(super) fn get(get: &Get) -> Result<u16, String> {
    let within = Duration::from_millis(get.within_milliseconds.max(1));
    let addresses = addresses(&get.address).map_err(|e| format!("{}: {e}", get.address))?;
    let mut last = format!("{} is no address", get.address);
    for address in addresses {
        match ask(&address, get, within) {
            Ok(status) => return Ok(status),
            Err(e) => last = format!("{address}: {e}"),
        }
    }
    Err(last)
}

/// `localhost` is resolved here: the machine's own resolver is not reachable from every network.
fn addresses(authority: &str) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty() => (host, port),
        _ => (authority, "80"),
    };
    let names = if host == "localhost" { vec!["127.0.0.1", "[::1]"] } else { vec![host] };
    let mut all = Vec::new();
    for name in names {
        all.extend(format!("{name}:{port}").to_socket_addrs()?);
    }
    Ok(all)
}

fn ask(address: &SocketAddr, get: &Get, within: Duration) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(address, within)?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: perijove\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        get.target, get.authority
    );
    stream.write_all(request.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_LIMIT)).read_line(&mut line)?;
    status(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

/// The status of a status line (RFC 9112, section 4).
fn status(line: &str) -> Option<u16> {
    let mut words = line.split_ascii_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok().filter(|status| (100..1000).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines() {
        for (line, want) in [
            ("HTTP/1.1 200 OK\r\n", Some(200)),
            ("HTTP/1.0 302\r\n", Some(302)),
            ("HTTP/2 200\r\n", None),
            ("HTTP/1.1 2x0 OK\r\n", None),
            ("SSH-2.0-OpenSSH\r\n", None),
            ("", None),
        ] {
            assert_eq!(status(line), want, "{line:?}");
        }
    }

    #[test]
    fn hosts_without_a_resolver() {
        assert_eq!(addresses("127.0.0.1:8000").unwrap(), ["127.0.0.1:8000".parse().unwrap()]);
        assert_eq!(addresses("[::1]:8000").unwrap(), ["[::1]:8000".parse().unwrap()]);
        assert_eq!(addresses("localhost").unwrap().len(), 2);
    }
}
