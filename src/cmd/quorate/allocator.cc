// How jemalloc is set; it reads the name below when the program starts. MALLOC_CONF in the environment goes
// before.
//
// Two arenas: one thread does nearly all of the allocating, and each arena keeps memory back. What was freed
// goes back to the system after a second, at once instead of in jemalloc's two stages, since the size of a
// member is watched.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0";
}
