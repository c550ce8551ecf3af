//! One Markdown page: its links, and the anchors that GitHub makes of its headings.

use pulldown_cmark::{BrokenLink, Event, LinkType, Options, Parser, Tag, TagEnd};
use std::cell::RefCell;
use std::collections::HashSet;

/// What a page links to and what it can be linked by.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) links: Vec<Link>,
    /// References without a definition, with their lines.
    pub(crate) undefined: Vec<(String, usize)>,
    pub(crate) anchors: HashSet<String>,
}

/// A link or an image.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) target: String,
    /// From 1.
    pub(crate) line: usize,
}

impl Page {
    /// Parses the text of a page.
    pub(crate) fn parse(text: &str) -> Self {
        let line = |at: usize| 1 + text[..at].matches('\n').count();
        let undefined = RefCell::new(Vec::new());
        let callback = |link: BrokenLink<'_>| {
            // Brackets alone may be just that.
            if !matches!(link.link_type, LinkType::Shortcut) {
                undefined
                    .borrow_mut()
                    .push((link.reference.to_string(), line(link.span.start)));
            }
            None
        };
        let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_GFM;
        let parser = Parser::new_with_broken_link_callback(text, options, Some(callback));

        let mut page = Self::default();
        let mut heading: Option<String> = None;
        for (event, span) in parser.into_offset_iter() {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    let line = line(span.start);
                    page.links.push(Link {
                        target: dest_url.into_string(),
                        line,
                    });
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    if let Some(heading) = heading.take() {
                        page.add_anchor(&heading);
                    }
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Html(html) | Event::InlineHtml(html) => page.add_ids(&html),
                _ => {}
            }
        }
        page.undefined = undefined.into_inner();
        page
    }

    /// Adds the anchor of a heading: its letters, digits, hyphens and underscores in lower case,
    /// with hyphens for spaces, and a number where the page has the anchor already.
    fn add_anchor(&mut self, heading: &str) {
        let slug: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let numbered = (1..).map(|n| format!("{slug}-{n}"));
        let anchor = std::iter::once(slug.clone()).chain(numbered);
        let free = anchor
            .into_iter()
            .find(|anchor| !self.anchors.contains(anchor));
        self.anchors.extend(free);
    }

    /// Adds the anchors that HTML sets by `id` or `name`.
    fn add_ids(&mut self, html: &str) {
        for attribute in ["id=\"", "name=\""] {
            let values = html.split(attribute).skip(1);
            self.anchors
                .extend(values.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
}
