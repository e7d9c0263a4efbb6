//! The parser's memory: mimalloc's instead of the C library's, which makes parsing a fifth faster.
//!
//! A syntax tree is many thousand small blocks. The C core takes them from `malloc` whatever allocator the program
//! has, so it must be told.

#![expect(unsafe_code, reason = "the C core takes its allocator as four C functions; this file is the whole room")]

use std::alloc::{Layout, handle_alloc_error};
use std::ffi::c_void;
use std::sync::Once;

use libmimalloc_sys::{mi_free, mi_malloc, mi_realloc, mi_zalloc};
use tree_sitter::{Allocator, set_allocator};

/// Tells the C core, once; called before anything else of it is used.
pub fn install() {
    static TOLD: Once = Once::new();
    let allocator = Allocator { malloc, calloc, realloc, free: mi_free };
    // SAFETY: the four belong to one allocator, whose blocks are aligned as `malloc`'s, and none of them returns null.
    // `Once` lets nobody pass before it is done, and every use of the C core begins with a grammar, which asks for
    // this first. No other crate of the workspace knows tree-sitter.
    TOLD.call_once(|| unsafe { set_allocator(Some(allocator)) });
}

/// The C core does not look at what it is given.
fn given(block: *mut c_void, size: usize) -> *mut c_void {
    if block.is_null() && size > 0 {
        handle_alloc_error(Layout::array::<u8>(size).unwrap_or(Layout::new::<u8>()));
    }
    block
}

unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: any size may be asked for.
    given(unsafe { mi_malloc(size) }, size)
}

unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    // A product too large for a number is too large for any memory.
    let size = count.saturating_mul(size);
    // SAFETY: any size may be asked for.
    given(unsafe { mi_zalloc(size) }, size)
}

unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the block came from one of these functions.
    given(unsafe { mi_realloc(block, size) }, size)
}
