// A snapshot of a member, from its stream into a file.
#pragma once

#include <cstdint>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "cmd/cli/progress.h"
#include "quorate/client/maintenance.h"

namespace quorate::cmd {

// Written to PATH.part, checked against the SHA-256 that the member sends with it, synced, then renamed: what
// was at `path` stays there until the new one is whole. Waits for the network. On error no part is left
// behind.
Status SaveSnapshot(FileSystem* files, client::SnapshotStream* stream, const std::string& path,
                    const ProgressFn& progress);

}  // namespace quorate::cmd
