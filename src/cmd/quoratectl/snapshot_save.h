// A snapshot of a member, from its stream into a file.
#pragma once

#include <cstdint>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "cmd/cli/progress.h"
#include "quorate/client/maintenance.h"

namespace quorate::cmd {

// Written to PATH.<16 hex digits>.part, a new file that no other save has, and checked against the SHA-256
// that the member sends with it; then synced, read back, and renamed: what was at `path` stays there until
// the new one is whole. Waits for the network. On error, also when the stream is stopped, no part is left
// behind.
Status SaveSnapshot(FileSystem* files, Random* random, client::SnapshotStream* stream,
                    const std::string& path, const ProgressFn& progress);

}  // namespace quorate::cmd
