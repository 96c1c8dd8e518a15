//! What can be wrong with a route before anything has begun: said in the plan, with nothing touched.

use cutover_core::Failure;
use cutover_core::spec::{NginxAt, NginxShape};

use super::dump::{Context, Dump};
use super::front::Front;
use super::program::{ProgramError, is_absent};

impl Front {
    /// Whether nginx could be switched by this route.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        let seen = self.place.inside(&self.route.file).await?;
        if let Some(folder) = self.route.file.parent() {
            self.place.may_write(folder).await?;
        }
        let dump = match self.program().dump().await {
            Ok(dump) => dump,
            Err(error) => return self.judge_broken(error).await,
        };
        let now = self.read(&self.route.file).await?;
        self.check_shape(now.as_deref()).await?;
        let file = self.as_included(&dump, &seen.display().to_string()).await;
        let contexts = dump.contexts_of(&file);
        self.check_included(&dump, &file, &contexts, now.is_some())?;
        self.check_use(&dump)?;
        self.check_log().await?;
        self.check_runs().await
    }

    /// A configuration that is broken is refused, but one that only lacks our file is why we are here.
    async fn judge_broken(&self, error: ProgramError) -> Result<(), Failure> {
        let refused = matches!(error, ProgramError::Refused { .. }) && !is_absent(&error);
        let missing = self.read(&self.route.file).await?.is_none();
        if missing && self.lacks_the_file(&error) {
            return Ok(());
        }
        let failure = self.program().explain(error);
        let summary = if refused { "nginx's configuration is not good as it is: " } else { "" };
        Err(Failure { summary: format!("{summary}{}", failure.summary), ..failure })
    }

    /// What has to be there already: the user's file, or the files to choose from.
    async fn check_shape(&self, now: Option<&[u8]>) -> Result<(), Failure> {
        match &self.route.shape {
            NginxShape::Down { .. } => {
                // With nobody to serve, only what cannot be understood is refused.
                let nobody =
                    super::render::Wanted { service: &self.service, servers: vec![], others: vec![], token: None };
                let made = super::render::render(&self.route.shape, &nobody, now, None);
                made.map(drop).map_err(|why| Failure::new(format!("{}: {why}", self.title())))
            }
            NginxShape::Site { choices } => {
                for path in choices.values() {
                    if self.read(path).await?.is_none() {
                        return Err(Failure::new(format!("{} is not there {}", path.display(), self.place.name()))
                            .hint("it is one of the site files that the live one is copied from"));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The path by which the configuration includes our file: it may go by way of a link.
    async fn as_included(&self, dump: &Dump, seen: &str) -> String {
        if dump.has(seen) || !matches!(self.route.at, NginxAt::Host(_)) {
            return seen.to_owned();
        }
        let Ok(real) = std::fs::canonicalize(seen) else { return seen.to_owned() };
        let same = |path: &&str| std::fs::canonicalize(path).is_ok_and(|path| path == real);
        dump.paths().find(same).unwrap_or(seen).to_owned()
    }

    fn check_included(&self, dump: &Dump, file: &str, contexts: &[Context], is_there: bool) -> Result<(), Failure> {
        let included = !contexts.is_empty() || dump.has(file);
        if !included {
            let summary =
                format!("nothing in nginx's configuration includes {file}, so writing it would change nothing");
            return Err(Failure::new(summary).hint(format!("add `include {file};` {}", self.belongs())));
        }
        let inside: Vec<&str> = contexts.iter().filter_map(|context| context.last()).map(String::as_str).collect();
        let fits = |context: &&str| match &self.route.shape {
            NginxShape::Upstream { .. } => matches!(*context, "http" | "stream"),
            NginxShape::Variable { .. } => matches!(*context, "server" | "location" | "if"),
            _ => true,
        };
        if let Some(wrong) = inside.iter().find(|context| !fits(context)) {
            let summary = format!("{file} is included in a block `{wrong}`, where it cannot stand");
            return Err(Failure::new(summary).hint(format!("include it {}", self.belongs())));
        }
        if inside.contains(&"stream") && self.route.url.is_some() {
            return Err(Failure::new(format!("{file} is included in the block `stream`, where no URL can be asked"))
                .hint("take `url` out of the route's nginx table"));
        }
        let needs_it = matches!(self.route.shape, NginxShape::Down { .. });
        if needs_it && !is_there { Err(Failure::new(format!("{file} is not there"))) } else { Ok(()) }
    }

    fn belongs(&self) -> &'static str {
        match self.route.shape {
            NginxShape::Variable { .. } => "to the `server` or `location` that passes the requests on",
            NginxShape::Upstream { .. } => "to the `http` block (or `stream`, for TCP)",
            NginxShape::Down { .. } | NginxShape::Site { .. } => "to the `http` block",
        }
    }

    /// Whether anything is passed to what we write.
    fn check_use(&self, dump: &Dump) -> Result<(), Failure> {
        let (unused, way) = match &self.route.shape {
            NginxShape::Upstream { name, .. } | NginxShape::Down { upstream: name } if !dump.passes_to(name) => {
                (format!("the upstream {name}"), format!("`proxy_pass http://{name};` or `fastcgi_pass {name};`"))
            }
            NginxShape::Variable { name, .. } if !dump.uses_variable(name) => {
                (format!("the variable ${name}"), format!("`proxy_pass ${name};`"))
            }
            _ => return Ok(()),
        };
        let summary = format!("nothing in nginx's configuration uses {unused}");
        Err(Failure::new(summary).hint(format!("add {way} to the location that passes the requests on")))
    }

    async fn check_runs(&self) -> Result<(), Failure> {
        let processes = self.processes().await.map_err(|error| self.program().explain(error))?;
        if !processes.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!("no nginx runs {} with this configuration", self.place.name()))
            .hint("start it; a deployment ends with a look through it"))
    }
}
