//! Every kind of function, without an error or a warning from the compiler or clippy. `compile.rs` compiles this in
//! each edition.

#![warn(clippy::pedantic)]
#![allow(dead_code, reason = "compiling is the test")]
#![allow(
    clippy::unwrap_used,
    clippy::unnecessary_wraps,
    clippy::needless_pass_by_value,
    reason = "none of it runs"
)]

use healthboard::{Failure, Outcome, healthcheck};
use std::collections::HashMap;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Store<T> {
    rows: Vec<T>,
    name: String,
}

impl<T: Clone + 'static> Store<T> {
    #[healthcheck("a")]
    fn first(&mut self) -> &mut T {
        &mut self.rows[0]
    }

    #[healthcheck("a")]
    async fn first_later(&mut self) -> &mut T {
        std::future::ready(()).await;
        &mut self.rows[0]
    }

    #[healthcheck("a")]
    fn try_first(&mut self) -> Result<&mut T, Box<dyn Error>> {
        if self.name.is_empty() {
            Err("no name")?;
        }
        self.rows.first_mut().ok_or_else(|| "empty".into())
    }

    #[healthcheck("a")]
    fn find<'a>(&'a mut self, others: &'a mut HashMap<String, T>, key: &str) -> Option<&'a mut T> {
        others.get_mut(key).or(self.rows.first_mut())
    }

    #[healthcheck("a")]
    fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().filter(|_| !self.name.is_empty())
    }

    #[healthcheck("a")]
    fn rows_mut(&mut self) -> Result<impl Iterator<Item = &mut T>, Box<dyn Error>> {
        let _: u8 = self.name.parse()?;
        Ok(self.rows.iter_mut())
    }

    #[healthcheck("a")]
    fn boxed(&self) -> Box<dyn Iterator<Item = &T> + '_> {
        if self.name.is_empty() {
            return Box::new(std::iter::empty());
        }
        Box::new(self.rows.iter())
    }

    #[healthcheck("a")]
    fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    #[healthcheck("a")]
    fn close(mut self) {
        self.rows.clear();
    }

    #[healthcheck("a")]
    fn forget(mut self) {
        self.name = String::new();
    }

    #[healthcheck("a")]
    fn from_arc(self: &Arc<Self>) -> Arc<Self>
    where
        Self: Sized,
    {
        Self::same(Arc::clone(self))
    }

    #[healthcheck("a")]
    fn same(this: Arc<Self>) -> Arc<Self> {
        this
    }

    #[healthcheck("a")]
    async fn into_rows<const N: usize>(self) -> Result<[T; N], Vec<T>>
    where
        [T; N]: Sized,
    {
        self.rows.try_into()
    }

    #[healthcheck("a")]
    fn each(&self, mut work: impl FnMut(&T) -> Result<(), String>) -> Result<(), String> {
        for row in &self.rows {
            work(row)?;
        }
        Ok(())
    }

    #[healthcheck("a")]
    fn pinned(self: std::pin::Pin<&mut Self>) -> usize {
        self.rows.len()
    }

    #[healthcheck("a", classify = Self::judge)]
    fn classified(&self) -> Result<&T, String> {
        self.rows.first().ok_or_else(String::new)
    }

    fn judge(error: &String) -> Outcome {
        if error.is_empty() { Outcome::NoEvidence } else { Outcome::Failure(Failure::of(error)) }
    }
}

/// Its argument outlives the temporary of the last expression.
#[healthcheck("a")]
fn temporaries(number: Arc<Mutex<u8>>) -> u8 {
    *number.lock().unwrap()
}

#[healthcheck("a")]
async fn temporaries_later(number: Arc<Mutex<u8>>) -> u8 {
    *number.lock().unwrap()
}

#[healthcheck("a")]
fn conversions(text: &str) -> Result<u16, Box<dyn Error + Send + Sync>> {
    let number: u8 = text.parse()?;
    if number == 0 {
        return Err("zero".into());
    }
    if number == 1 {
        return Err(Box::new(std::fmt::Error));
    }
    Ok(number.into())
}

#[healthcheck("a")]
async fn conversions_later<'a, E>(
    text: &'a str,
    _: &str,
    error: E,
) -> Result<&'a str, Box<dyn Error + Send + Sync>>
where
    E: Error + Send + Sync + 'static,
{
    let _: u8 = text.parse()?;
    if text.is_empty() {
        return Err(Box::new(error));
    }
    Ok(text.trim())
}

#[healthcheck("a")]
fn option(list: &[u8]) -> Option<&u8> {
    let first = list.first()?;
    list.get(usize::from(*first))
}

#[healthcheck("a")]
fn never() -> ! {
    std::process::exit(1)
}

#[healthcheck("a")]
async fn never_later() -> ! {
    loop {
        std::future::pending::<()>().await;
    }
}

#[healthcheck("a")]
fn not_yet(_text: &str) -> Result<(), String> {
    unimplemented!()
}

#[healthcheck("a")]
fn one_line() -> u8 {
    5
}

#[healthcheck("a")]
fn nothing() {}

#[healthcheck("a")]
async fn nothing_later() {}

#[healthcheck("a")]
fn statement(list: &mut Vec<u8>) {
    list.push(1)
}

/// The underscores keep arguments from being reported as unused.
#[healthcheck("a")]
fn underscores(_guard: String, _: u8, (_left, right): (u8, u8)) -> u8 {
    right
}

/// Documented.
#[must_use]
#[healthcheck("a")]
#[inline]
#[allow(clippy::many_single_char_names, clippy::toplevel_ref_arg, reason = "an attribute")]
fn attributes((a, b): (u8, u8), [mut c, ref d]: [u8; 2], _: String, Pair { left, .. }: &Pair) -> u8 {
    c += *d;
    a + b + c + left
}

struct Pair {
    left: u8,
}

#[healthcheck("a")]
fn inner_attribute() {
    #![allow(unused_variables, reason = "an inner attribute")]
    let unused = 1;
}

#[healthcheck("a")]
fn lints_on_arguments(
    #[allow(unused_variables, reason = "here")] a: u8,
    #[expect(unused_variables, reason = "here")] b: u8,
) {
}

#[healthcheck("a")]
fn conditional(#[cfg(unix)] text: &str, #[cfg(not(unix))] text: &[u8]) -> usize {
    text.len()
}

#[healthcheck("a")]
unsafe fn dangerous(pointer: *const u8) -> u8 {
    // SAFETY: as the caller promises.
    unsafe { *pointer }
}

#[healthcheck("a")]
#[allow(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks, reason = "as edition 2021 has it")]
unsafe fn dangerous_all_over(pointer: *const u8) -> u8 {
    *pointer
}

#[healthcheck("a")]
async unsafe fn dangerous_later(pointer: *const u8) -> u8 {
    // SAFETY: as the caller promises.
    unsafe { *pointer }
}

#[healthcheck("a")]
unsafe extern "C" fn foreign(number: i32) -> i32 {
    number + 1
}

#[healthcheck("a")]
fn jumps(mut upto: u32) -> Result<u32, String> {
    'outer: loop {
        let value = 'block: {
            if upto.is_multiple_of(2) {
                break 'block upto;
            }
            if upto > 100 {
                break 'outer;
            }
            upto += 1;
            continue 'outer;
        };
        return Ok(value);
    }
    Err("too much".to_owned())
}

#[healthcheck("a")]
fn items() -> u8 {
    const STEP: u8 = 2;
    fn double(number: u8) -> u8 {
        number * STEP
    }
    struct Local(u8);
    impl Local {
        #[healthcheck("a")]
        fn get(&self) -> u8 {
            self.0
        }
    }
    double(Local(1).get())
}

#[healthcheck("a")]
fn recursion(number: u64) -> u64 {
    if number < 2 { number } else { recursion(number - 1) + recursion(number - 2) }
}

#[healthcheck("a")]
async fn recursion_later(number: u64) -> u64 {
    if number == 0 { 0 } else { Box::pin(recursion_later(number - 1)).await }
}

#[healthcheck("a")]
fn closures(start: u32) -> impl Fn(u32) -> u32 + Clone {
    let step = start * 2;
    move |number| number + step
}

#[healthcheck("a")]
fn function_pointer(chosen: bool) -> fn(u8) -> u8 {
    if chosen { |number| number } else { u8::swap_bytes }
}

#[healthcheck("a")]
fn opaque_in_places(text: &str) -> (impl Debug + '_, Option<impl Display + use<'_>>) {
    (text.chars(), Some(text))
}

#[healthcheck("a")]
fn dynamic(object: &dyn Debug, slice: &mut [String], array: [u8; 4]) -> (usize, String) {
    slice[0].push('x');
    (array.len(), format!("{object:?}"))
}

#[healthcheck("a")]
fn many<'a, 'b: 'a, T, U: ?Sized, const N: usize>(
    left: &'a [T; N],
    right: &'b U,
) -> Result<(&'a T, &'b U), ()> {
    Ok((left.first().ok_or(())?, right))
}

trait Query {
    fn required(&mut self) -> Option<&mut String>;

    #[healthcheck("a")]
    fn provided(&mut self) -> Result<&mut String, &'static str> {
        self.required().ok_or("none")
    }

    #[healthcheck("a")]
    fn sized(self) -> Self
    where
        Self: Sized,
    {
        self
    }

    #[allow(async_fn_in_trait, reason = "private")]
    async fn later(&mut self) -> Result<&mut String, &'static str>;
}

impl Query for Option<String> {
    #[healthcheck("a")]
    fn required(&mut self) -> Option<&mut String> {
        self.as_mut()
    }

    #[healthcheck("a")]
    async fn later(&mut self) -> Result<&mut String, &'static str> {
        self.provided()
    }
}

macro_rules! functions {
    ($($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),*) -> $returned:ty $body:block)*) => {$(
        #[healthcheck("a")]
        $(#[$attribute])*
        $visibility fn $name($($argument: $type),*) -> $returned $body
    )*};
}

functions! {
    /// Made by a macro.
    pub(crate) fn made(number: u8, text: &str) -> Result<u8, Box<dyn Error>> { Ok(text.parse::<u8>()? + number) }
    fn also_made() -> u8 { 7 }
}

macro_rules! try_or_return {
    ($value:expr) => {
        match $value {
            Some(value) => value,
            None => return Err("none"),
        }
    };
}

#[healthcheck("a")]
fn returns_in_a_macro(number: Option<u8>) -> Result<u8, &'static str> {
    Ok(try_or_return!(number))
}

#[healthcheck("a")]
fn names_of_the_expansion(running: u8, outcome: u8, returned: u8, argument0: u8) -> u8 {
    running + outcome + returned + argument0
}

fn is_send<T: Send>(value: T) -> T {
    value
}

fn futures_are_send() {
    #[healthcheck("a")]
    async fn not_send_itself(text: &str) -> std::rc::Rc<str> {
        std::future::ready(()).await;
        text.into()
    }
    drop(is_send(not_send_itself("")));
    drop(is_send(recursion_free("")));
}

#[healthcheck("a", impact = "degrading", ttl = 60, classify = any)]
async fn recursion_free(text: &str) -> Result<u8, std::num::ParseIntError> {
    std::future::ready(()).await;
    text.parse()
}

fn any<E: Display>(error: &E) -> Outcome {
    Outcome::Failure(Failure::of(error))
}

#[healthcheck("a")]
fn main() -> Result<(), Box<dyn Error>> {
    futures_are_send();
    Ok(())
}
