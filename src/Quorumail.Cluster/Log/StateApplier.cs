using System.Runtime.InteropServices;

namespace Quorumail.Cluster.Log;

/// <summary>
/// Applies committed entries, in order and each once: every command to the state that it is for, unless it is a retry of
/// one that was applied before. Keeps the cluster's clock. Called by the log, one call at a time.
/// </summary>
internal sealed class StateApplier(ReplicatedStates states)
{
    private readonly List<LoggedCommand> _commands = [];
    private readonly Group _application = new();
    private readonly Group _store = new();
    private ReadOnlyMemory<byte>[] _answers = new ReadOnlyMemory<byte>[16];
    private bool[] _finished = new bool[16];
    private long _appliedIndex;
    private long _lastStamp;
    private long _stampedIndex;

    /// <summary>The clock that follows the stamps; set before the first proposal.</summary>
    public ClusterClock? Clock { get; set; }

    /// <summary>How the entries were applied, to be compared with other nodes.</summary>
    public StateDigest Digest { get; } = new();

    /// <summary>Index of the last entry applied, with or without commands.</summary>
    public long AppliedIndex => Volatile.Read(ref _appliedIndex);

    /// <summary>Index of the last entry applied that has a stamp.</summary>
    public long StampedIndex => Volatile.Read(ref _stampedIndex);

    /// <summary>Highest stamp applied.</summary>
    public long LastStamp => Volatile.Read(ref _lastStamp);

    /// <summary>The commands of the entry that was applied last; valid until the next call.</summary>
    public IReadOnlyList<LoggedCommand> Commands => _commands;

    /// <summary>For each of <see cref="Commands"/>, whether it was not applied and nothing is known of it; valid until the next call.</summary>
    public ReadOnlySpan<bool> Finished => _finished.AsSpan(0, _commands.Count);

    /// <summary>Takes over what a snapshot or the state's own recovery says.</summary>
    public void StartAt(long index, long stamp)
    {
        Volatile.Write(ref _appliedIndex, Math.Max(index, _appliedIndex));
        Volatile.Write(ref _lastStamp, Math.Max(stamp, _lastStamp));
    }

    /// <summary>
    /// Applies one entry; an entry that a state's own recovery already covers only moves the clock. Returns the answers, a
    /// slot for each of <see cref="Commands"/>, valid until the next call.
    /// </summary>
    /// <exception cref="LogFormatException">The entry is of a version that this program can't read.</exception>
    public ReadOnlySpan<ReadOnlyMemory<byte>> Apply(long index, ReadOnlyMemory<byte> entry)
    {
        _commands.Clear();
        if (entry.IsEmpty)
        {
            lock (states.Cluster.Entry)
            {
                states.Cluster.AppliedUpTo(Math.Max(index, states.Cluster.AppliedIndex));
            }

            Digest.Entry(index, 0);
            Volatile.Write(ref _appliedIndex, index);
            return default;
        }

        long stamp = Math.Max(LogEntryFormat.Read(entry, _commands), _lastStamp);
        if (_answers.Length < _commands.Count)
        {
            _answers = new ReadOnlyMemory<byte>[Math.Max(_commands.Count, 2 * _answers.Length)];
            _finished = new bool[_answers.Length];
        }

        Span<ReadOnlyMemory<byte>> answers = _answers.AsSpan(0, _commands.Count);
        answers.Clear();
        _finished.AsSpan(0, _commands.Count).Clear();
        lock (states.Cluster.Entry)
        {
            Apply(index, stamp, answers);
        }

        Digest.Entry(index, stamp);
        Volatile.Write(ref _lastStamp, stamp);
        Volatile.Write(ref _stampedIndex, index);
        Clock?.Applied(stamp);
        Volatile.Write(ref _appliedIndex, index);
        return answers;
    }

    private void Apply(long index, long stamp, Span<ReadOnlyMemory<byte>> answers)
    {
        ReadOnlySpan<LoggedCommand> commands = CollectionsMarshal.AsSpan(_commands);

        // The cluster's state is behind the others after a restart or a snapshot, never ahead. What it holds they hold, too; and
        // it can't tell any more which of those commands were retries.
        _application.Clear();
        _store.Clear();
        if (index <= states.Cluster.AppliedIndex)
        {
            Recall(commands, answers);
            Digest.Skipped();
            return;
        }

        for (int i = 0; i < commands.Length; i++)
        {
            ref readonly LoggedCommand command = ref commands[i];
            if (command.Sequence != 0 && !states.Cluster.TryBegin(command.Incarnation, command.Sequence, out answers[i], out _finished[i]))
            {
                continue;
            }

            _finished[i] = false;
            switch (command.Target)
            {
                case CommandTarget.Application:
                    _application.Add(command.Body, i);
                    break;
                case CommandTarget.Store:
                    _store.Add(command.Body, i);
                    break;
                case CommandTarget.Cluster:
                    answers[i] = states.Cluster.Apply(command);
                    break;
                default:
                    break;
            }
        }

        _application.ApplyTo(states.Application, index, stamp, answers, _finished, Digest);
        if (states.Store is { } store)
        {
            _store.ApplyTo(store, index, stamp, answers, _finished, Digest);
        }

        Keep(commands, answers);
        states.Cluster.AppliedUpTo(index);
    }

    private void Recall(ReadOnlySpan<LoggedCommand> commands, Span<ReadOnlyMemory<byte>> answers)
    {
        for (int i = 0; i < commands.Length; i++)
        {
            ReadOnlyMemory<byte>? answer = states.Cluster.Recall(commands[i].Incarnation, commands[i].Sequence);
            answers[i] = answer ?? default;
            _finished[i] = answer is null;
            if (commands[i].Target == CommandTarget.Application)
            {
                _application.Add(commands[i].Body, i);
            }
        }

        _application.Recall(states.Application);
    }

    private void Keep(ReadOnlySpan<LoggedCommand> commands, ReadOnlySpan<ReadOnlyMemory<byte>> answers)
    {
        for (int i = 0; i < commands.Length; i++)
        {
            if (commands[i].Sequence != 0 && !_finished[i])
            {
                states.Cluster.Answered(commands[i].Incarnation, commands[i].Sequence, answers[i]);
            }
        }
    }

    /// <summary>The commands of one entry that are for one state.</summary>
    private sealed class Group
    {
        private readonly List<ReadOnlyMemory<byte>> _bodies = [];
        private readonly List<int> _places = [];
        private ReadOnlyMemory<byte>[] _answers = new ReadOnlyMemory<byte>[16];

        public void Clear()
        {
            _bodies.Clear();
            _places.Clear();
        }

        public void Add(ReadOnlyMemory<byte> body, int place)
        {
            _bodies.Add(body);
            _places.Add(place);
        }

        public void Recall(IReplicatedState state)
        {
            if (_bodies.Count > 0)
            {
                state.Recall(_bodies);
            }
        }

        public void ApplyTo(
            IReplicatedState state, long index, long stamp, Span<ReadOnlyMemory<byte>> answers, Span<bool> finished, StateDigest digest)
        {
            if (_bodies.Count == 0)
            {
                return;
            }

            if (index <= state.AppliedIndex)
            {
                // It came here in a snapshot, and what it was answered did not.
                foreach (int place in _places)
                {
                    finished[place] = true;
                }

                state.Recall(_bodies);
                digest.Skipped();
                return;
            }

            if (_bodies.Count == answers.Length)
            {
                state.Apply(index, stamp, _bodies, answers);
                digest.Answered(answers);
                return;
            }

            if (_answers.Length < _bodies.Count)
            {
                _answers = new ReadOnlyMemory<byte>[Math.Max(_bodies.Count, 2 * _answers.Length)];
            }

            Span<ReadOnlyMemory<byte>> mine = _answers.AsSpan(0, _bodies.Count);
            mine.Clear();
            state.Apply(index, stamp, _bodies, mine);
            digest.Answered(mine);
            for (int i = 0; i < mine.Length; i++)
            {
                answers[_places[i]] = mine[i];
            }
        }
    }
}
