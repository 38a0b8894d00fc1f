//! The same upstream reads at once and the same templates, and nothing else.

use std::path::Path;

use futures_util::future::{join, join_all};
use minijinja::Environment;
use serde_json::{Map, Value};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::sync::Mutex;

/// What is read and rendered, as the table wrote it down.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Work {
    /// Addresses of the Vault reads.
    pub(crate) urls: Vec<String>,
    pub(crate) token: String,
    /// URL of the database.
    pub(crate) database: String,
    /// Each gives one value.
    pub(crate) queries: Vec<String>,
    /// Over the fields of all that was read.
    pub(crate) templates: Vec<String>,
}

/// Ready to do it, with connections that are open.
pub(crate) struct Bare {
    work: Work,
    http: reqwest::Client,
    databases: Vec<Mutex<PgConnection>>,
    templates: Environment<'static>,
}

impl Bare {
    pub(crate) async fn connect(folder: &Path) -> Self {
        let text = std::fs::read(folder.join("work.json")).unwrap();
        let work: Work = serde_json::from_slice(&text).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let connect = || async { Mutex::new(PgConnection::connect(&work.database).await.unwrap()) };
        let databases = join_all(work.queries.iter().map(|_| connect())).await;
        let mut templates = Environment::new();
        for (index, template) in work.templates.iter().enumerate() {
            templates.add_template_owned(format!("t{index}"), template.clone()).unwrap();
        }
        Self { work, http, databases, templates }
    }

    /// Reads all, then renders all.
    pub(crate) async fn work(&self) {
        let vault = join_all(self.work.urls.iter().map(|url| self.vault(url)));
        let queries = self.work.queries.iter().zip(&self.databases);
        let sql = join_all(queries.map(|(query, database)| sql(query, database)));
        let (vault, sql) = join(vault, sql).await;
        let fields = vault.into_iter().flatten().map(|(name, value)| match value {
            Value::String(text) => (name, text),
            _ => panic!("the fields are texts"),
        });
        let columns =
            sql.into_iter().enumerate().map(|(index, value)| (format!("sql{index}"), value));
        let values = minijinja::Value::from_pairs(fields.chain(columns));
        let scope = minijinja::Value::from_pairs([("params", values)]);
        for index in 0..self.work.templates.len() {
            let template = self.templates.get_template(&format!("t{index}")).unwrap();
            std::hint::black_box(template.render(scope.clone()).unwrap());
        }
    }

    async fn vault(&self, url: &str) -> Map<String, Value> {
        let request = self.http.get(url).header("X-Vault-Token", &self.work.token);
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        let Value::Object(mut answer) =
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
        else {
            panic!("Vault answers an object")
        };
        match answer["data"]["data"].take() {
            Value::Object(fields) => fields,
            _ => panic!("a KV 2 answer has fields"),
        }
    }
}

async fn sql(query: &str, database: &Mutex<PgConnection>) -> String {
    let mut connection = database.lock().await;
    let query = sqlx::query(AssertSqlSafe(query.to_owned()));
    query.fetch_one(&mut *connection).await.unwrap().get(0)
}
