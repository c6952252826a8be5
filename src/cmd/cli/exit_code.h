// How the command-line tools end, and the one line on stderr with which they say why.
#pragma once

#include <string_view>

#include "base/status.h"

namespace quorate::cmd {

// Frozen: scripts test them. Source: etcd, pkg/cobrautl/error.go.
enum class ExitCode : int {
  kOk = 0,
  kError = 1,
  kBadConnection = 2,
  kInvalidInput = 3,  // Of txn and watch.
  kBadFeature = 4,    // Such as an output format that the command does not have.
  kInterrupted = 5,
  kIo = 6,
  kBadArguments = 128,
};

// "Error: TEXT" on stderr, with the way out behind it where a disk is full; returns `code` for main to
// return.
int Fail(ExitCode code, std::string_view text);
// The same with kError.
int Fail(const Status& status);

}  // namespace quorate::cmd
