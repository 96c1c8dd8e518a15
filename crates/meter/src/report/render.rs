//! A report as plain text for a person.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::{Report, Streams};
use crate::failure::{Class, Failure};

/// This many failures are shown in full.
const SHOWN: usize = 10;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.requests(f)?;
        self.times(f)?;
        self.releases(f)?;
        self.ledger(f)?;
        let uploads = self.uploads;
        if uploads.begun > 0 {
            let (done, failed) = (Count(uploads.done), Count(uploads.failed));
            line(f, "uploads", format_args!("{done} done, {failed} failed"))?;
        }
        streams(f, "events", &self.sse)?;
        streams(f, "websockets", &self.websockets)?;
        self.failures(f)?;
        self.verdict(f)
    }
}

impl Report {
    fn requests(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let all = &self.requests;
        let (sent, answered, failed) = (Count(all.sent), Count(all.answered), Count(all.failed));
        let rate = Count((all.sent as f64 / self.elapsed.as_secs_f64().max(0.001)).round() as u64);
        let time = self.elapsed.as_secs_f64();
        line(f, "requests", format_args!("{sent} sent, {answered} answered, {failed} failed, 0 retried"))?;
        line(f, "", format_args!("{time:.1} s, {rate} per second; {} POSTs", Count(all.posts)))?;
        if all.closes_noticed > 0 {
            line(f, "", format_args!("{} idle connections found closed in time", Count(all.closes_noticed)))?;
        }
        let bound = self.certainty.per_million;
        let digits = if bound < 10.0 { 1 } else { 0 };
        line(f, "certainty", format_args!("fewer than {bound:.digits$} failures per million requests, at 95 %"))
    }

    fn times(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let all = &self.latency;
        let (p50, p99, p999, max) = (Millis(all.p50), Millis(all.p99), Millis(all.p999), Millis(all.max));
        line(f, "latency", format_args!("p50 {p50}   p99 {p99}   p99.9 {p999}   max {max}"))?;
        let gap = self.longest_gap;
        line(f, "longest gap", format_args!("{} without an answer, at {}", Millis(gap.length), At(gap.at)))
    }

    fn releases(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, release) in self.releases.iter().enumerate() {
            let (name, share, span) = (&release.name, release.share * 100.0, release.span);
            let (answers, first, last) = (Count(span.answers), At(span.first), At(span.last));
            let label = if index == 0 { "releases" } else { "" };
            line(f, label, format_args!("{name}: {answers} answers ({share:.1} %), {first} to {last}"))?;
        }
        Ok(())
    }

    fn ledger(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(check) = &self.ledger else {
            return Ok(());
        };
        let (sent, counted) = (Count(check.sent), Count(check.counted));
        let (lost, duplicated) = (Count(check.lost), Count(check.duplicated));
        line(f, "ledger", format_args!("{sent} orders sent, {counted} counted; {lost} lost, {duplicated} duplicated"))?;
        if check.counted_unanswered > 0 {
            line(f, "", format_args!("{} counted without an answer", Count(check.counted_unanswered)))?;
        }
        check.examples.iter().take(SHOWN).try_for_each(|example| line(f, "", format_args!("{example}")))
    }

    fn failures(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, (class, count)) in self.failures_by_class.iter().enumerate() {
            line(f, if index == 0 { "failures" } else { "" }, format_args!("{} {class}", Count(*count)))?;
        }
        self.failures.iter().take(SHOWN).try_for_each(|failure| line(f, "", format_args!("{failure}")))
    }

    fn verdict(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let what = if self.clean() {
            "clean: nothing lost, duplicated, misrouted or cut"
        } else if self.count(Class::Meter) > 0 {
            "not a proof: the meter itself was at fault"
        } else if self.failures_by_class.is_empty() && self.ledger.is_none() {
            "nothing was measured"
        } else {
            "not clean"
        };
        line(f, "verdict", format_args!("{what}"))
    }
}

fn streams(f: &mut Formatter<'_>, label: &str, all: &Streams) -> fmt::Result {
    if all.opened + all.not_opened == 0 {
        return Ok(());
    }
    let (opened, kept) = (Count(all.opened), Count(all.kept));
    let (ended, cut) = (Count(all.ended_by_server), Count(all.cut));
    line(f, label, format_args!("{opened} opened, {kept} kept, {ended} ended by the server, {cut} cut"))?;
    let (received, gaps) = (Count(all.received), Count(all.gaps));
    if all.sent == 0 {
        return line(f, "", format_args!("{received} received, {gaps} gaps"));
    }
    let (sent, echoed, unanswered) = (Count(all.sent), Count(all.echoed), Count(all.unanswered));
    line(f, "", format_args!("{sent} sent, {echoed} echoed, {unanswered} unanswered at the end, {gaps} gaps"))
}

fn line(f: &mut Formatter<'_>, label: &str, text: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(f, "{label:<13}{text}")
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { class, client, request, sent, received, detail, .. } = self;
        let connection = if self.reused { "reused" } else { "new" };
        write!(f, "{} {class}: {request} ({client}, {connection} connection, ", At(self.at))?;
        write!(f, "{sent} bytes sent, {received} received): {detail}")
    }
}

/// A number with its thousands set apart.
struct Count(u64);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A short time.
struct Millis(Duration);

impl Display for Millis {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_secs_f64() * 1000.0;
        let digits = match millis {
            ..1.0 => 2,
            ..10.0 => 1,
            _ => 0,
        };
        write!(f, "{millis:.digits$} ms")
    }
}

/// A moment of the run.
struct At(Duration);

impl Display for At {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "+{:.3} s", self.0.as_secs_f64())
    }
}
