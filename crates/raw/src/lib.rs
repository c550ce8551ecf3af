//! ICMP and raw IP sockets: everything that is neither TCP nor UDP.
#![cfg_attr(docsrs, feature(doc_cfg))]
