// Made by Deploy/generate-messages; never edited.
#pragma once
#include "answer.pb-c.h"
#include "event.pb-c.h"
#include "question.pb-c.h"
#include "timeline.pb-c.h"
#include "user_embedding.pb-c.h"
