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
    let custodians = &selection.custodians;
    let takes_part = |i: &ItemFact, t: &Token| i.depositor == *t || i.about.participants.iter().any(|p| p.token == *t);
    let of_somebody = |i: &&ItemFact| custodians.is_empty() || custodians.iter().any(|t| takes_part(i, t));
    require(items.iter().all(of_somebody), Rule::ItemScope, || "an item is of none of the custodians".into())?;
    let each = custodians.iter().all(|t| items.iter().any(|i| takes_part(i, t)));
    require(each, Rule::ItemScope, || "a custodian is named without an item".into())?;
    let of_epochs =
        |i: &&ItemFact| selection.epochs.is_none_or(|e| e.first <= i.about.epoch && i.about.epoch <= e.last);
    require(items.iter().all(of_epochs), Rule::ItemScope, || "an item is of another epoch than asked for".into())?;
    let in_time = |i: &&&ItemFact| i.about.from < selection.to && selection.from < i.about.to;
    let threads = |list: &mut dyn Iterator<Item = &&ItemFact>| list.map(|i| i.about.thread).collect::<BTreeSet<_>>();
    let (all, asked) = (threads(&mut items.iter()), threads(&mut items.iter().filter(in_time)));
    require(all == asked, Rule::ItemScope, || "of a thread nothing but context is asked for".into())
}
