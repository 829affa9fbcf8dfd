/// Questions of a batch with the same prompt and answers of similar length, which are read together.
struct QuestionGroup {
    /// Tokens of the prompt.
    let prompt: [Int32]
    /// Indices of the questions.
    let members: [Int]

    /// Answers longer than a bound and at most as long as the next one share a group, so that little is padding.
    private static let bounds = [2, 5, 10, 20, 50]

    private struct Key: Hashable {
        let prompt: ArraySlice<Int32>
        let bucket: Int
    }

    /// Divides questions into groups, in the order of each group's first question.
    static func groups(_ questions: [TrainingQuestion]) -> [QuestionGroup] {
        var keys: [Key] = []
        var members: [Key: [Int]] = [:]
        for (index, question) in questions.enumerated() {
            let bucket = bounds.firstIndex { question.answer.count <= $0 } ?? bounds.count
            let key = Key(prompt: question.tokens[..<question.promptLength], bucket: bucket)
            if members[key] == nil { keys.append(key) }
            members[key, default: []].append(index)
        }
        return keys.map { QuestionGroup(prompt: Array($0.prompt), members: members[$0] ?? []) }
    }

    /// Where the states of each question's positions are, question by question, when they stand in another order.
    ///
    /// - Parameters:
    ///   - questions: all questions.
    ///   - order: the indices of the questions in the order of their states.
    static func rows(of questions: [TrainingQuestion], inOrder order: [Int]) -> [Int32] {
        var starts = [Int32](repeating: 0, count: questions.count)
        var next: Int32 = 0
        for index in order {
            starts[index] = next
            next += Int32(questions[index].positions.count)
        }
        return questions.indices.flatMap { index in
            (0..<Int32(questions[index].positions.count)).map { starts[index] + $0 }
        }
    }

    /// Where the states of some questions' positions are when all of them stand question by question.
    static func rows(of questions: [TrainingQuestion], chosen: [Int]) -> [Int32] {
        var starts: [Int32] = []
        var next: Int32 = 0
        for question in questions {
            starts.append(next)
            next += Int32(question.positions.count)
        }
        return chosen.flatMap { index in (0..<Int32(questions[index].positions.count)).map { starts[index] + $0 } }
    }
}
