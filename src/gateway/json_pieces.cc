#include "gateway/json_pieces.h"

namespace quorate::gateway {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool Opens(char c) { return c == '{' || c == '['; }
bool Closes(char c) { return c == '}' || c == ']'; }
bool EndsScalar(char c) { return IsSpace(c) || Opens(c) || Closes(c) || c == '"' || c == ',' || c == ':'; }

}  // namespace

size_t JsonPieces::Take(std::string_view piece) {
  size_t ended = 0;
  for (size_t i = 0; i < piece.size(); ++i) {
    const char c = piece[i];
    if (state_ == State::kScalar && EndsScalar(c)) {
      ended = i;
      state_ = State::kBetween;
    }
    switch (state_) {
      case State::kBetween:
        if (IsSpace(c)) break;
        if (c == '"') {
          state_ = State::kString;
        } else if (Opens(c)) {
          state_ = State::kNested;
          depth_ = 1;
        } else if (EndsScalar(c)) {
          ended = i + 1;  // No value begins like this: whoever reads it will see.
        } else {
          state_ = State::kScalar;
        }
        break;
      case State::kScalar:
        break;
      case State::kNested:
        if (c == '"') {
          state_ = State::kString;
        } else if (Opens(c)) {
          ++depth_;
        } else if (Closes(c) && --depth_ == 0) {
          ended = i + 1;
          state_ = State::kBetween;
        }
        break;
      case State::kString:
        if (c == '\\') {
          state_ = State::kEscape;
        } else if (c == '"') {
          state_ = depth_ > 0 ? State::kNested : State::kBetween;
          if (depth_ == 0) ended = i + 1;
        }
        break;
      case State::kEscape:
        state_ = State::kString;
        break;
    }
  }
  return ended;
}

}  // namespace quorate::gateway
