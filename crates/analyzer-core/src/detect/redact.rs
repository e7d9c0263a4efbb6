//! The last step: no text that the analysis quotes from the code carries a secret.

use std::cell::RefCell;

use super::secrets::{Formats, Found};
use crate::analysis::{Analysis, Step};

/// Masks every secret in what is quoted: prompts, descriptions, addresses, paths, evidence. What was found in a file is
/// a secret in whatever else is quoted, also where nothing there says so.
pub(crate) fn redact(analysis: &mut Analysis, found: &Found, formats: &Formats) {
    let known = RefCell::new(found.clean_texts());
    let clean = |text: &mut String| {
        if known.borrow_mut().is_clean(text) {
            return;
        }
        match found.mask(text, formats) {
            Some(masked) => *text = masked,
            None => known.borrow_mut().add(text),
        }
    };
    let clean_steps = |steps: &mut Vec<Step>| steps.iter_mut().for_each(|step| clean(&mut step.what));
    for tool in &mut analysis.tools {
        clean(&mut tool.name);
        let quoted = [&mut tool.base_url, &mut tool.default_url, &mut tool.description];
        quoted.into_iter().flatten().for_each(clean);
        tool.call_sites.iter_mut().filter_map(|site| site.path.as_mut()).for_each(clean);
        clean_steps(&mut tool.evidence);
    }
    for usage in &mut analysis.model_usages {
        usage.model.iter_mut().chain(&mut usage.alternatives).for_each(clean);
        clean_steps(&mut usage.evidence);
    }
    analysis.model_providers.iter_mut().filter_map(|pair| pair.model.as_mut()).for_each(clean);
    analysis.destinations.iter_mut().for_each(|destination| clean_steps(&mut destination.evidence));
    analysis.destinations.iter_mut().for_each(|destination| clean(&mut destination.host));
    analysis.outbound_destinations.iter_mut().for_each(clean);
    analysis.notes.iter_mut().for_each(|note| clean(&mut note.message));
    for prompt in &mut analysis.prompts {
        clean(&mut prompt.text);
        clean_steps(&mut prompt.evidence);
    }
    clean(&mut analysis.system_prompt_suggestion);
    analysis.requirements.packages.iter_mut().for_each(|package| clean(&mut package.specifier));
    analysis.detected_requirements.iter_mut().for_each(clean);
    analysis.optional_requirements.iter_mut().for_each(clean);
    found.keep_clean(known.into_inner());
}
