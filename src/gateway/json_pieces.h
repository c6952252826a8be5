// Where JSON values end in a text that comes in pieces. Linear in the text; no memory of it is kept. It
// looks at brackets and quotes only: whether a value is well-formed is for JsonValues to say, which is given
// what has ended.
#pragma once

#include <cstddef>
#include <string_view>

namespace quorate::gateway {

class JsonPieces {
 public:
  // The next piece. How many of its bytes end with the last value that has ended in it: 0, none has. A number
  // or a literal ends with the byte behind it.
  size_t Take(std::string_view piece);
  // A value has begun and not ended.
  bool inside() const { return state_ != State::kBetween; }

 private:
  enum class State { kBetween, kScalar, kNested, kString, kEscape };

  State state_ = State::kBetween;
  size_t depth_ = 0;  // Open objects and arrays.
};

}  // namespace quorate::gateway
