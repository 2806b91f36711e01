//! HMAC-SHA256, as RFC 2104 describes it.

use super::sha256::{BLOCK_LEN, HASH_LEN, sha256};

/// The code that shows that who knows `key` has seen `message`.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; HASH_LEN] {
    let mut block = [0; BLOCK_LEN];
    match key.len() <= BLOCK_LEN {
        true => block[..key.len()].copy_from_slice(key),
        false => block[..HASH_LEN].copy_from_slice(&sha256(key)),
    }
    let inner = sha256(&[&block.map(|byte| byte ^ 0x36), message].concat());
    sha256(&[&block.map(|byte| byte ^ 0x5c), &inner[..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test cases of RFC 4231; of the fifth, the first 16 bytes.
    #[test]
    fn the_vectors_of_the_standard() {
        let counting: Vec<u8> = (1..=25).collect();
        let rows: [(&[u8], &[u8], &str); 7] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&counting, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            (&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. \
                  The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, want) in rows {
            let code = hmac_sha256(key, message);
            let hex: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex[..want.len()], *want, "{message:?}");
        }
    }
}
