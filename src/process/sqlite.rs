//! SQLite takes its memory from the program's allocator, which wipes what comes
//! back: rows of a source would stay in what C's `free` takes otherwise.
//!
//! The one module with `unsafe` code. It is audited by these rules: each block is
//! made by [`allocate`] alone, with its size in a head before it; a block is given
//! back once, by SQLite; nothing but its bytes is ever read or written.
#![expect(unsafe_code, reason = "SQLite is told of an allocator by C functions alone")]

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;

use rusqlite::ffi;

/// The bytes before a block. They hold its size, and keep it aligned for all that
/// SQLite puts there, which wants 8.
const HEAD: usize = 16;

const METHODS: ffi::sqlite3_mem_methods = ffi::sqlite3_mem_methods {
    xMalloc: Some(allocate),
    xFree: Some(free),
    xRealloc: Some(reallocate),
    xSize: Some(size_of_block),
    xRoundup: Some(round_up),
    xInit: Some(begin),
    xShutdown: Some(end),
    pAppData: ptr::null_mut(),
};

/// Has SQLite use the program's allocator from its first connection on. To be
/// called before that, by the only thread.
///
/// # Errors
/// SQLite is in use already.
pub fn use_our_allocator() -> io::Result<()> {
    let methods = METHODS;
    // SAFETY: with this option SQLite reads one pointer to methods, and copies what
    // it points to.
    let answer = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const methods) };
    if answer == ffi::SQLITE_OK { Ok(()) } else { Err(io::ErrorKind::ResourceBusy.into()) }
}

/// The layout of a head with a block of so many bytes.
fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(HEAD)?, HEAD).ok()
}

/// A block of at least one byte; null where there is none to be had.
unsafe extern "C" fn allocate(size: c_int) -> *mut c_void {
    let size = usize::try_from(size).unwrap_or(0);
    let Some(layout) = layout(size).filter(|_| size > 0) else { return ptr::null_mut() };
    // SAFETY: the layout isn't empty, and its head has room and alignment for a
    // size.
    unsafe {
        let head = alloc(layout);
        if head.is_null() {
            return ptr::null_mut();
        }
        head.cast::<usize>().write(size);
        head.add(HEAD).cast()
    }
}

/// The size of a block.
///
/// # Safety
/// The block was made by [`allocate`] and not given back.
unsafe fn size(block: *mut c_void) -> usize {
    // SAFETY: its size stands in its head.
    unsafe { block.cast::<u8>().sub(HEAD).cast::<usize>().read() }
}

unsafe extern "C" fn free(block: *mut c_void) {
    if block.is_null() {
        return;
    }
    // SAFETY: SQLite gives back what `allocate` made, once, and so with its layout.
    unsafe {
        if let Some(layout) = layout(size(block)) {
            dealloc(block.cast::<u8>().sub(HEAD), layout);
        }
    }
}

/// Always another block: the old one is wiped.
unsafe extern "C" fn reallocate(block: *mut c_void, wanted: c_int) -> *mut c_void {
    // SAFETY: as above; the two blocks are apart, and each has that many bytes. Where
    // there is no new one, SQLite keeps the old.
    unsafe {
        let new = allocate(wanted);
        if !new.is_null() && !block.is_null() {
            let both = size(block).min(size(new));
            ptr::copy_nonoverlapping(block.cast::<u8>(), new.cast::<u8>(), both);
            free(block);
        }
        new
    }
}

unsafe extern "C" fn size_of_block(block: *mut c_void) -> c_int {
    if block.is_null() {
        return 0;
    }
    // SAFETY: SQLite asks for blocks that it has.
    c_int::try_from(unsafe { size(block) }).unwrap_or(c_int::MAX)
}

unsafe extern "C" fn round_up(size: c_int) -> c_int {
    size.checked_add(7).map_or(size, |more| more & !7)
}

unsafe extern "C" fn begin(_: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn end(_: *mut c_void) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_bytes_when_it_grows_and_shrinks() {
        // SAFETY: each block is used up to its size and given back once.
        unsafe {
            let mut block = allocate(5);
            assert_eq!(block as usize % 8, 0);
            ptr::copy_nonoverlapping(b"12345".as_ptr(), block.cast(), 5);
            for size in [4_096, 5, 40] {
                block = reallocate(block, size);
                assert_eq!(size_of_block(block), size);
                assert_eq!(std::slice::from_raw_parts(block.cast::<u8>(), 5), b"12345");
            }
            free(block);
        }
    }

    #[test]
    fn what_can_not_be_is_null_and_null_is_nothing() {
        // SAFETY: no block is made but the last, which is given back.
        unsafe {
            for size in [0, -1, c_int::MIN] {
                assert!(allocate(size).is_null());
            }
            free(ptr::null_mut());
            assert_eq!(size_of_block(ptr::null_mut()), 0);
            let block = reallocate(ptr::null_mut(), 1);
            assert!(reallocate(block, -1).is_null(), "and the old block is still there");
            free(block);
            assert_eq!([round_up(1), round_up(8), round_up(c_int::MAX)], [8, 8, c_int::MAX]);
        }
    }
}
