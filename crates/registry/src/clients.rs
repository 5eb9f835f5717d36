//! Who has how many connections open: one client must not take them all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Open connections by client.
#[derive(Clone)]
pub(crate) struct Clients {
    most: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A client's open connection, until it is dropped.
pub(crate) struct Guest {
    client: IpAddr,
    clients: Clients,
}

impl Clients {
    /// `most` connections at once from one client.
    pub(crate) fn new(most: usize) -> Self {
        Clients { most, open: Arc::default() }
    }

    /// Counts one more connection from `address`; nothing when that is one too many.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Guest> {
        let client = client(address);
        let mut open = self.open();
        let count = open.entry(client).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Guest { client, clients: self.clone() })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = self.clients.open();
        match open.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&self.client);
            }
        }
    }
}

/// An IPv4 address is a client; of IPv6 a client has 64 bits of addresses (RFC 4291, section 2.5.4).
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_count() {
        let clients = Clients::new(2);
        let enter = |address: &str| clients.enter(address.parse().unwrap());
        let guests = [enter("192.0.2.1"), enter("::ffff:192.0.2.1")];
        assert!(guests.iter().all(Option::is_some));
        assert!(enter("192.0.2.1").is_none(), "the same address in both of its forms");
        let others = [enter("192.0.2.2"), enter("2001:db8::1"), enter("2001:db8::2:0:0:1")];
        assert!(others.iter().all(Option::is_some));
        assert!(enter("2001:db8::3").is_none(), "the same network");
        assert!(enter("2001:db8:0:1::3").is_some());
        drop(guests);
        assert!(enter("192.0.2.1").is_some());
        drop(others);
        assert!(clients.open().is_empty(), "nothing is kept of who has gone");
    }
}
