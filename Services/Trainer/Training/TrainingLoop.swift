import Failpoints
import Foundation
import NeuralNetwork
import ServiceRuntime

/// A step has changed the weights and is not reported yet.
private let stepDone = Failpoint("trainer.step")

/// Trains until the budget is used up or the process is asked to stop.
///
/// A time budget is converted to a number of steps once the speed is known, after a thirtieth of the time; from then on
/// the learning rate depends on the step alone. The checkpoint with the best validation is kept next to the last one.
/// With patience, that many validations without an improvement end the training before its budget is used up.
struct TrainingLoop<Task: TrainingTask> {
    let task: Task
    let options: TrainingOptions
    let run: RunFolder
    let progress: ProgressReporter

    /// Prepares a training.
    ///
    /// - Parameters:
    ///   - task: what is trained.
    ///   - options: how long and how.
    ///   - run: where checkpoints are kept.
    ///   - name: what reports of the progress call it.
    /// - Throws: when the run's log cannot be written.
    init(task: Task, options: TrainingOptions, run: RunFolder, name: String) throws {
        (self.task, self.options, self.run) = (task, options, run)
        progress = try ProgressReporter(name: name, options)
    }

    /// Runs the training.
    ///
    /// - Throws: if the numbers stop being finite, and any error from reading or writing a checkpoint.
    func train(until shutdown: Shutdown) throws -> TrainingOutcome {
        let learner = TrainingLearner(
            optimizer: AdamW(groups: task.groups),
            average: options.averageDecay > 0 ? WeightAverage(task.parameters, decay: options.averageDecay) : nil
        )
        let trainer = DataParallelTrainer(
            shards: options.threads,
            optimizer: learner.optimizer,
            seed: options.seed,
            precision: options.precision
        )
        var state = TrainingState()
        if case .steps(let count) = options.budget { state.totalSteps = count }
        if options.resumes {
            if let saved = try run.restoreLast(task.parameters, learner) {
                try checkSteps(planned: saved.totalSteps)
                state = saved
                state.totalSteps = saved.totalSteps ?? options.budget.steps
                try progress.resume(state)
            } else {
                try progress.startOver()
            }
        }
        let clock = TrainingClock(secondsBefore: state.seconds)
        defer { progress.finish(state) }
        var refused = 0
        while state.step < state.totalSteps ?? .max, !isOutOfPatience(state) {
            if shutdown.isRequested {
                try run.saveLast(task.parameters, learner, state)
                return outcome(state, isInterrupted: true)
            }
            let shards = try task.shards(ofStep: state.step, count: options.threads)
            let rate = learningRate(state)
            let result = try trainer.step(learningRate: rate) { graph, shard in
                task.loss(graph, shards[shard], of: shards)
            }
            refused = result.gradientNorm.isFinite ? 0 : refused + 1
            guard refused < 20 else {
                throw ProcessFailure(
                    "the loss stopped being a number at step \(state.step); lower --learning-rate (now \(rate))"
                )
            }
            state.step += 1
            stepDone.reach()
            learner.average?.update(step: state.step)
            let stepTargets = shards.reduce(0) { $0 + task.targetCount($1) }
            state.targets += stepTargets
            state.seconds = clock.seconds
            progress.step(
                state,
                loss: result.loss,
                gradientNorm: result.gradientNorm,
                learningRate: rate,
                targets: stepTargets
            )
            if state.totalSteps == nil, case .time(let budget) = options.budget {
                try planSteps(&state, budget.inSeconds, learner, clock)
            } else if let total = state.totalSteps, isValidationStep(state.step, total) {
                try validate(&state, learner, clock)
            }
        }
        if isOutOfPatience(state) {
            progress.note("\(options.patience) validations without improvement end the training at step \(state.step)")
        }
        try run.saveLast(task.parameters, learner, state)
        return outcome(state, isInterrupted: false)
    }

    private func isOutOfPatience(_ state: TrainingState) -> Bool {
        options.patience > 0 && state.validationsSinceBest ?? 0 >= options.patience
    }

    /// Refuses to resume towards another number of steps, because the learning rate so far followed the planned one.
    private func checkSteps(planned: Int?) throws {
        guard let asked = options.budget.steps, let planned, asked != planned else { return }
        throw ProcessFailure(
            "the training in \(options.folder) is planned for \(planned) steps, not for \(asked): give --steps \(planned) "
                + "to go on, or train into another folder",
            exitCode: .badInput
        )
    }

    /// Fixes the number of steps once the speed is known.
    private func planSteps(
        _ state: inout TrainingState,
        _ budget: Double,
        _ learner: TrainingLearner,
        _ clock: TrainingClock
    ) throws {
        guard state.step >= 10, state.seconds >= budget / 30 else { return }
        let secondsPerStep = state.seconds / Double(state.step)
        let start = clock.seconds
        try validate(&state, learner, clock) { state in
            let end = clock.seconds
            let left = budget - end - (end - start) * Double(options.validations + 1)
            state.totalSteps = state.step + max(Int(left / secondsPerStep), 1)
        }
        progress.note("\(state.totalSteps ?? 0) steps fit into the time")
    }

    private func isValidationStep(_ step: Int, _ total: Int) -> Bool {
        step == total || step % max(total / options.validations, 1) == 0
    }

    /// Validates, and keeps the best weights: the moving average if there is one, otherwise the weights themselves.
    ///
    /// A plan fixes the number of steps once the time for validating and saving is known.
    private func validate(
        _ state: inout TrainingState,
        _ learner: TrainingLearner,
        _ clock: TrainingClock,
        plan: ((inout TrainingState) -> Void)? = nil
    ) throws {
        let (metric, isBest) = try learner.withWeightsThatCount {
            let metric = try task.validate(threads: options.threads)
            state.seconds = clock.seconds
            let isBest = metric > state.bestMetric ?? -.infinity
            if isBest {
                state.bestMetric = metric
                state.bestStep = state.step
                state.validationsSinceBest = 0
                try run.saveBest(task.parameters, state)
            } else {
                state.validationsSinceBest = (state.validationsSinceBest ?? 0) + 1
            }
            return (metric, isBest)
        }
        try run.saveLast(task.parameters, learner, state)
        if let plan {
            plan(&state)
            // Saved again: a run that is killed before its next validation resumes with the same plan.
            try run.saveLast(task.parameters, learner, state)
        }
        // The time for writing belongs to no step.
        state.seconds = clock.seconds
        progress.validation(state, name: task.metricName, value: metric, isBest: isBest)
    }

    private func learningRate(_ state: TrainingState) -> Float {
        let shape = state.totalSteps.map { Schedule.Shape.cosine(steps: $0, floor: 0.02) } ?? .constant
        let warmUp = min(options.warmUpSteps, (state.totalSteps ?? .max) / 10)
        return Schedule(peak: options.learningRate, warmUpSteps: warmUp, shape: shape).learningRate(at: state.step)
    }

    private func outcome(_ state: TrainingState, isInterrupted: Bool) -> TrainingOutcome {
        TrainingOutcome(
            steps: state.step,
            seconds: state.seconds,
            targets: state.targets,
            bestStep: state.bestMetric.map { _ in state.bestStep },
            bestMetric: state.bestMetric,
            isInterrupted: isInterrupted,
            endedEarly: !isInterrupted && isOutOfPatience(state)
        )
    }
}

/// The optimizer that changes the weights, and what is kept alongside them.
struct TrainingLearner {
    let optimizer: AdamW
    /// The moving average of the weights, if enabled.
    var average: WeightAverage?

    /// Runs the body while the parameters hold the weights that are validated and saved.
    func withWeightsThatCount<Result>(_ body: () throws -> Result) rethrows -> Result {
        if let average { try average.applied(body) } else { try body() }
    }
}

/// The training time, over all interruptions.
private struct TrainingClock {
    let secondsBefore: Double
    private let start = ContinuousClock.now

    init(secondsBefore: Double) { self.secondsBefore = secondsBefore }

    var seconds: Double { secondsBefore + (ContinuousClock.now - start).inSeconds }
}

/// The state of a training run; saved with its checkpoint.
struct TrainingState: Codable, Sendable, Equatable {
    var step = 0
    var totalSteps: Int?
    var targets = 0
    var seconds = 0.0
    var bestStep = 0
    var bestMetric: Double?
    /// Optional, because checkpoints of earlier versions do not have it.
    var validationsSinceBest: Int?
}

extension TrainingState {
    /// Far more than any training has, and far less than a counter can hold.
    static let possibleTargets = 0...1_000_000_000_000_000
    /// Up to three hundred years.
    static let possibleSeconds = 0...1e10

    /// Reads the training state of a checkpoint; refuses numbers that no training can have.
    ///
    /// - Throws: `Checkpoint.Failure` naming the number, or any error from reading.
    init(of checkpoint: Checkpoint) throws {
        self = try checkpoint.training(as: Self.self)
        func check(_ name: String, _ value: some CustomStringConvertible, _ isPossible: Bool) throws {
            if isPossible { return }
            let reason = "\(name) is \(value), which can be of no training"
            throw Checkpoint.Failure.malformed(path: "\(checkpoint.folder)/training.json", reason: reason)
        }
        let steps = AdamW.possibleSteps
        try check("step", step, steps.contains(step))
        try check("totalSteps", totalSteps ?? 0, steps.contains(totalSteps ?? 0))
        try check("bestStep", bestStep, steps.contains(bestStep))
        try check("targets", targets, Self.possibleTargets.contains(targets))
        try check("seconds", seconds, Self.possibleSeconds.contains(seconds))
        try check("validationsSinceBest", validationsSinceBest ?? 0, steps.contains(validationsSinceBest ?? 0))
        try check("bestMetric", bestMetric ?? 0, TrainingLogLine.possibleValues.contains(bestMetric ?? 0))
    }
}

extension Duration {
    /// The duration in seconds.
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
