//! What a request says about how its items were chosen holds for the items: approvers read the words,
//! and the items are what opens.

use crate::facts::ItemFact;
use crate::refusal::{Refusal, Rule, require};
use escrow_core::Token;
use escrow_core::request::Selection;
use std::collections::BTreeSet;

/// Custodians and epochs hold for every item, no custodian is named without an item, and of each thread
/// some item reaches into the time asked for: nobody is asked for context alone.
pub(crate) fn holds(selection: &Selection, items: &[&ItemFact]) -> Result<(), Refusal> {
    // Sorted, as the statement's rules say: a request may name a thousand, and an item as many participants.
    let custodians = &selection.custodians;
    let mut seen = BTreeSet::new();
    for item in items {
        let people = item.about.participants.iter().map(|p| p.token).chain([item.depositor]);
        let of = people.filter(|t| custodians.binary_search(t).is_ok()).collect::<Vec<Token>>();
        let of_somebody = custodians.is_empty() || !of.is_empty();
        require(of_somebody, Rule::ItemScope, || "an item is of none of the custodians".into())?;
        seen.extend(of);
    }
    let each = seen.len() == custodians.len();
    require(each, Rule::ItemScope, || "a custodian is named without an item".into())?;
    let of_epochs =
        |i: &&ItemFact| selection.epochs.is_none_or(|e| e.first <= i.about.epoch && i.about.epoch <= e.last);
    require(items.iter().all(of_epochs), Rule::ItemScope, || "an item is of another epoch than asked for".into())?;
    let in_time = |i: &&&ItemFact| i.about.from < selection.to && selection.from < i.about.to;
    let threads = |list: &mut dyn Iterator<Item = &&ItemFact>| list.map(|i| i.about.thread).collect::<BTreeSet<_>>();
    let (all, asked) = (threads(&mut items.iter()), threads(&mut items.iter().filter(in_time)));
    require(all == asked, Rule::ItemScope, || "of a thread nothing but context is asked for".into())
}
