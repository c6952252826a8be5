// Reads JSON values from a text as Go's encoding/json.Decoder does: one after another, with its grammar and
// its error texts, which clients of the original see. Not nlohmann's parser, because that one rounds 64-bit
// numbers and can't say where a value ends. Pure; linear in time, not recursive.
// Source: https://pkg.go.dev/encoding/json
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"

namespace quorate::gateway {

// As in Go: deeper values are refused.
constexpr size_t kJsonDepthMax = 10'000;

class JsonValues {
 public:
  // Views `text`.
  explicit JsonValues(std::string_view text) : rest_(text) {}

  // Nothing but white space is left.
  bool AtEnd();
  // The raw text of the next value, which is well-formed JSON. InvalidArgument: it is not, and no more can be
  // read.
  StatusOr<std::string_view> Next();
  // What follows the values read.
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// Whether more text could make this one a well-formed value, or it is one.
bool MayBecomeValue(std::string_view text);

// The items of a well-formed value, read from front to back. Every method skips white space first.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view well_formed) : rest_(well_formed) {}

  // The first byte of the next token: one of {["-0..9tfn or a closing or separating one; 0 at the end.
  char Peek();
  // Takes that byte when it is `c`.
  bool Take(char c);
  // Takes a string. The text is decoded: what is no UTF-8, and surrogates without their other half, become
  // U+FFFD. It may be a password: moving it leaves no copy behind, and who drops it overwrites it.
  std::string TakeString();
  // Takes a number or a literal, as it stands.
  std::string_view TakeScalar();
  // Takes any value and forgets it.
  void Skip();

 private:
  std::string_view TakeRawString();

  std::string_view rest_;
};

}  // namespace quorate::gateway
