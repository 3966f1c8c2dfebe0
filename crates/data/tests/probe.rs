//! probe
use tailguard_data::table::{Columns, read};
use std::fs;
#[test]
fn probe() {
    let dir = tempfile::tempdir().unwrap();
    let mut case = |name: &str, bytes: &[u8]| { let p = dir.path().join(name); fs::write(&p, bytes).unwrap(); let r = read(&p, &Columns::default()); match r { Ok(v) => println!("{name}: ok {} {:?}", v.len(), v.last()), Err(e) => println!("{name}: {}", e.to_string().replace(dir.path().to_str().unwrap(), "")) } };
    let many = |n: usize| "a film,1\n".repeat(n);
    case("late_label.csv", format!("text,label\n{}b,good\n", many(12000)).as_bytes());
    case("late_float.csv", format!("text,label\n{}b,0.5\n", many(12000)).as_bytes());
    case("numbers.csv", b"text,label\n12,1\n13,0\n");
    case("emptytext.csv", b"text,label\n,1\n");
    case("quotedempty.csv", b"text,label\n\"\",1\n");
    case("short_row.csv", b"text,label\na,1\nb\n");
    case("long_row.csv", b"text,label\na,1\nb,1,2\n");
    case("open_quote.csv", b"text,label\na,1\n\"b,1\nc,0\n");
    case("dup.csv", b"text,text,label\na,b,1\n");
    case("bom.csv", b"\xef\xbb\xbftext,label\na,1\n");
    case("crlf.csv", b"text,label\r\na,1\r\nb,0\r\n");
    case("nohead.csv", b"a,1\nb,0\n");
    case("blank.csv", b"text,label\n\na,1\n\nb,0\n");
    case("tf.csv", b"text,label\na,true\nb,false\n");
    let j = |n: usize| "{\"text\":\"a\",\"label\":1}\n".repeat(n);
    case("late_label.jsonl", format!("{}{{\"text\":\"a\",\"label\":\"x\"}}\n", j(150)).as_bytes());
    case("late_label2.jsonl", format!("{}{{\"text\":\"a\",\"label\":0.5}}\n", j(150)).as_bytes());
    case("late_text.jsonl", format!("{}{{\"text\":5,\"label\":1}}\n", j(150)).as_bytes());
    case("early_text.jsonl", format!("{{\"text\":5,\"label\":1}}\n{}", j(150)).as_bytes());
    case("string_label.jsonl", b"{\"text\":\"a\",\"label\":\"1\"}\n");
    case("bool.jsonl", b"{\"text\":\"a\",\"label\":true}\n");
    case("null.jsonl", b"{\"text\":\"a\",\"label\":1}\n{\"text\":null,\"label\":1}\n");
    case("latecol.jsonl", format!("{}{{\"text\":\"a\",\"label\":1}}\n", "{\"label\":1}\n".repeat(150)).as_bytes());
    case("blank.jsonl", b"{\"text\":\"a\",\"label\":1}\n\n\n{\"text\":\"b\",\"label\":0}\n");
    case("only_blank.jsonl", b"\n\n");
    case("nested.jsonl", b"{\"text\":\"a\",\"label\":[1]}\n");
    case("nonl.jsonl", b"{\"text\":\"a\",\"label\":1}");
    case("a[1].csv", b"text,label\na,1\n");
    case("a*.jsonl", b"{\"text\":\"a\",\"label\":1}");
    case("dupkey.jsonl", b"{\"text\":\"a\",\"text\":\"b\",\"label\":1}");
    case("extra.jsonl", b"{\"text\":\"a\",\"label\":1}{\"text\":\"b\",\"label\":1}\n");
    fs::create_dir(dir.path().join("d.parquet")).unwrap();
    println!("{}", read(&dir.path().join("d.parquet"), &Columns::default()).unwrap_err());
    println!("{}", read(&dir.path().join("none.parquet"), &Columns::default()).unwrap_err());
    for f in ["x_date","x_ts","x_i8","x_dec","x_list","x_struct","x_time","bad_utf8", "binary", "nullrow", "floatlabel", "zerorows", "i8", "i32", "large", "cat"] {
      let p = std::path::Path::new("/tmp/probe").join(format!("{f}.parquet"));
      match read(&p, &Columns::default()) { Ok(v) => println!("{f}: ok {} {:?}", v.len(), v.last()), Err(e) => println!("{f}: {e}") }
    }
    let p = std::path::Path::new("/work/shared/datasets/imdb/train.parquet");
    let t = std::time::Instant::now();
    println!("{:?} {:?}", read(p, &Columns::default()).map(|v| v.len()), t.elapsed());
}
