// UTF-8 as Go reads it. Pure functions.
#pragma once

#include <cstddef>
#include <string_view>

namespace quorate {

// Length of the sequence at the beginning of `text`, which is not empty (shortest form, no surrogates, at
// most U+10FFFF); 0 when there is none.
size_t Utf8Length(std::string_view text);

}  // namespace quorate
