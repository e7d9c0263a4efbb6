//! Destinations: external hosts that the code itself connects to.

use std::collections::BTreeMap;

use super::models::Usage;
use super::tools::Service;
use crate::analysis::{Confidence, Destination, Step};
use crate::memo::Asked;
use crate::resolve::url;
use crate::sites::Context;

/// One entry per host: of requests, of models, of services.
pub fn detect(cx: &Context, models: &[Usage], services: &[Service]) -> Vec<Destination> {
    let mut found = Found::default();
    // What a test calls by address is what it tests, or made up.
    for outbound in cx.outbound().filter(|outbound| !cx.project.is_test(outbound.url_at.file)) {
        let host = outbound.address.bare_host();
        if url::is_external(&outbound.address.host) {
            let (file, line) = (cx.project.path(outbound.url_at.file), cx.project.line(outbound.url_at));
            found.add(host, file, line, None, outbound.confidence, &outbound.steps);
        }
    }
    for model in models {
        if let Some(implied) = &model.host {
            let usage = &model.usage;
            found.add(&implied.host, &usage.file, usage.line, implied.by.clone(), implied.confidence, &implied.steps);
        }
    }
    for (at, implied) in
        cx.each(Asked::ClientHosts, super::models::client_hosts).iter().flat_map(|of_file| of_file.iter())
    {
        let (file, line) = (cx.project.path(at.file), cx.project.line(*at));
        found.add(&implied.host, file, line, implied.by.clone(), implied.confidence, &implied.steps);
    }
    for service in services {
        for host in &service.hosts {
            let by = service.implied.then(|| service.call.clone());
            found.add(host, &service.file, service.line, by, service.confidence, &service.steps);
        }
    }
    found.0.into_values().collect()
}

#[derive(Default)]
struct Found(BTreeMap<String, Destination>);

impl Found {
    fn add(&mut self, host: &str, file: &str, line: u32, by: Option<String>, confidence: Confidence, steps: &[Step]) {
        let new = Destination {
            host: host.to_owned(),
            file: file.to_owned(),
            line,
            implied_by: by,
            confidence,
            evidence: steps.to_vec(),
        };
        // The first use counts; what the code names goes before what a library implies.
        let rank = |d: &Destination| (d.implied_by.is_some(), d.file.clone(), d.line);
        match self.0.get_mut(host) {
            Some(known) => {
                // One sure use is enough.
                let confidence = known.confidence.max(confidence);
                if rank(&new) < rank(known) {
                    *known = new;
                }
                known.confidence = confidence;
            }
            None => {
                self.0.insert(host.to_owned(), new);
            }
        }
    }
}
