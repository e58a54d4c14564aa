//! A statement's hash as eight short words, to compare by voice or on a second screen.

use escrow_core::Digest;

/// How many words: 88 of the 256 bits, more than anybody can find a second statement for.
const WORDS: usize = 8;

/// The first 88 bits of the digest in words of the BIP-39 English list, 11 bits each, in order.
pub fn words(digest: &Digest) -> String {
    let list = bip39::Language::English.word_list();
    let bit = |n: usize| digest.0.get(n / 8).is_some_and(|byte| byte & (0x80 >> (n % 8)) != 0);
    let number = |word: usize| (word * 11..(word + 1) * 11).fold(0, |n, at| n * 2 + usize::from(bit(at)));
    (0..WORDS).filter_map(|w| list.get(number(w)).copied()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_words_that_follow_the_hash() {
        assert_eq!(words(&Digest([0; 32])), ["abandon"; 8].join(" "));
        assert_eq!(words(&Digest([0xff; 32])), ["zoo"; 8].join(" "));
        let mut one = [0; 32];
        one[10] = 1; // bit 87, the last that is shown
        assert!(words(&Digest(one)).ends_with(" ability"), "{}", words(&Digest(one)));
        one[10] = 0;
        one[11] = 0xff; // not shown
        assert_eq!(words(&Digest(one)), words(&Digest([0; 32])));
    }
}
