// Text of users that JSON can't carry. Names in the data of etcd up to 3.6 may be any bytes; a `string` field
// of protobuf must be UTF-8 and is refused by its parser otherwise.
#pragma once

#include <google/protobuf/descriptor.h>

#include <string>

namespace quorate::gateway {

// Each byte of `message`'s string fields that is no part of UTF-8 becomes '?', so that all lengths stay. What
// is no message of that type stays as it is.
void RepairText(const google::protobuf::Descriptor& type, std::string* message);

}  // namespace quorate::gateway
