// Assertions that stay on in release builds: they guard our own invariants, never input.
#pragma once

#include <string_view>

namespace quorate {

// Prints file, line and text to stderr and aborts. The message of an invariant carries its numbers.
[[noreturn]] void CheckFailed(const char* file, int line, const char* expr, std::string_view message);

}  // namespace quorate

#define QUORATE_CHECK(cond)                                  \
  do {                                                       \
    if (!(cond)) [[unlikely]]                                \
      ::quorate::CheckFailed(__FILE__, __LINE__, #cond, {}); \
  } while (false)

#define QUORATE_CHECK_MSG(cond, message)                            \
  do {                                                              \
    if (!(cond)) [[unlikely]]                                       \
      ::quorate::CheckFailed(__FILE__, __LINE__, #cond, (message)); \
  } while (false)
