//! Takes a list of Kubernetes apart while it arrives: each item by itself, so that a list of 5,000 pods, which is
//! tens of megabytes of JSON, is one request and never lies in memory as a whole.

/// Bytes of one item, and of all that is around the items. The API server takes no object beyond 3 MB.
const LIMIT: usize = 8 << 20;

/// A list that is arriving.
#[derive(Debug, Default)]
pub(crate) struct Items {
    /// Everything but the items, each of which is a `0` here.
    around: Vec<u8>,
    item: Vec<u8>,
    in_item: bool,
    in_items: bool,
    in_text: bool,
    escaped: bool,
    depth: usize,
    /// The last text at the list's own level: the key, when an array begins.
    key: Vec<u8>,
}

impl Items {
    /// Takes the next bytes, and gives each item to `take` that is whole.
    ///
    /// # Errors
    /// What `take` says, or that something is larger than any object of Kubernetes.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        for &byte in bytes {
            if self.in_item {
                self.item.push(byte);
            } else {
                self.around.push(byte);
            }
            if self.in_text {
                self.text(byte);
                continue;
            }
            match byte {
                b'"' => {
                    self.in_text = true;
                    if self.depth == 1 {
                        self.key.clear();
                    }
                }
                b'{' | b'[' => self.open(byte),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.in_item && self.depth == 2 {
                        self.in_item = false;
                        take(&self.item)?;
                        self.item.clear();
                    } else if self.depth == 1 {
                        self.in_items = false;
                    }
                }
                _ => {}
            }
            if self.item.len() > LIMIT || self.around.len() > LIMIT {
                return Err(format!("an object of more than {} MB", LIMIT >> 20));
            }
        }
        Ok(())
    }

    fn text(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_text = false,
            _ if self.depth == 1 && self.key.len() < 16 => self.key.push(byte),
            _ => {}
        }
    }

    fn open(&mut self, byte: u8) {
        if self.depth == 1 && byte == b'[' && self.key == b"items" {
            self.in_items = true;
        }
        if self.in_items && self.depth == 2 && byte == b'{' {
            self.in_item = true;
            self.around.pop();
            self.around.push(b'0');
            self.item.push(byte);
        }
        self.depth += 1;
    }

    /// What was around the items; JSON when the list was whole.
    pub(crate) fn around(&self) -> &[u8] {
        &self.around
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn split(text: &[u8], chunk: usize) -> (Value, Vec<Value>) {
        let (mut items, mut found) = (Items::default(), Vec::new());
        for part in text.chunks(chunk.max(1)) {
            items
                .feed(part, |item| {
                    found.push(serde_json::from_slice(item).map_err(|e| e.to_string())?);
                    Ok(())
                })
                .unwrap();
        }
        (serde_json::from_slice(items.around()).unwrap(), found)
    }

    #[test]
    fn takes_a_list_apart() {
        let list = json!({"kind": "PodList", "metadata": {"resourceVersion": "7", "items": [{"no": 1}]},
            "items": [{"a": "}]\"\\"}, {"b": [{"c": {}}]}, {}], "more": ["items"], "last": [{"d": 1}]});
        for text in [list.to_string(), serde_json::to_string_pretty(&list).unwrap()] {
            for chunk in [1, 2, 7, 1000] {
                let (around, items) = split(text.as_bytes(), chunk);
                assert_eq!(Value::Array(items), list["items"], "{chunk}");
                assert_eq!(around["metadata"], list["metadata"]);
                assert_eq!(around["items"], json!([0, 0, 0]));
                assert_eq!(around["last"], list["last"]);
            }
        }
        let (around, items) = split(br#"{"metadata":{"resourceVersion":"9"},"items":null}"#, 3);
        assert!(items.is_empty() && around["metadata"]["resourceVersion"] == "9");
    }

    #[test]
    fn garbage_is_bounded() {
        let mut items = Items::default();
        let noise = vec![b'x'; 1 << 20];
        let result = (0..64).try_for_each(|_| items.feed(&noise, |_| Ok(())));
        assert!(result.is_err_and(|error| error.contains("8 MB")));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i32>().prop_map(|n| json!(n)),
            "[\\[\\]{}\",\\\\:a]{0,6}".prop_map(|s| json!(s))
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::btree_map("[a-z\"{\\[]{0,4}|items", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_list_comes_apart(
            items in proptest::collection::vec(proptest::collection::btree_map("[a-z]{1,3}", value(), 0..4), 0..5),
            other in value(),
            chunk in 1usize..40,
        ) {
            let list = json!({"apiVersion": "v1", "before": other, "items": items, "zz": other});
            let (around, found) = split(list.to_string().as_bytes(), chunk);
            prop_assert_eq!(Value::Array(found), list["items"].clone());
            prop_assert_eq!(&around["before"], &other);
            prop_assert_eq!(&around["zz"], &other);
        }
    }
}
