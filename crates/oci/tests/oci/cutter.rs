//! A wire to a real server that is cut once, after so many bytes either way.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The address of a wire to `target`. The first connection that carries more than `limit` bytes in one
/// direction is cut there; the others are left alone. `cut` tells when it has happened.
pub fn wire(target: &str, limit: usize, cut: &Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (target, cut) = (target.to_owned(), Arc::clone(cut));
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let far = TcpStream::connect(&target).unwrap();
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let cut = Arc::clone(&cut);
                std::thread::spawn(move || carry(&from, &to, limit, &cut));
            }
        }
    });
    address
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, limit: usize, cut: &AtomicBool) {
    let mut carried = 0;
    let mut buffer = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        carried += n;
        if carried > limit && !cut.swap(true, Ordering::SeqCst) {
            break;
        }
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
