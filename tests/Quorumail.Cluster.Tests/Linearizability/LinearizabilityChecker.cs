using System.Numerics;

namespace Quorumail.Cluster.Tests.Linearizability;

/// <summary>
/// Decides whether a recorded history can be explained by registers that do one operation at a time, each at some moment
/// between its call and its return (Wing and Gong's search, with Lowe's memory of configurations already tried). Keys are
/// independent of each other, so each is checked by itself.
/// </summary>
public static class LinearizabilityChecker
{
    /// <summary>Steps after which a key is given up as undecided; a healthy history takes a few for each operation.</summary>
    private const long StepMax = 50_000_000;

    /// <summary>Null if the history is linearizable, else what can't be explained.</summary>
    /// <exception cref="InvalidOperationException">Undecided: too many operations at the same time.</exception>
    public static string? FindViolation(IEnumerable<RegisterOperation> history)
    {
        foreach (IGrouping<string, RegisterOperation> key in history.GroupBy(operation => operation.Key, StringComparer.Ordinal))
        {
            // What had no effect and what told nothing explains nothing and needs no explanation.
            RegisterOperation[] operations = [.. key.Where(operation =>
                operation.Outcome == RegisterOutcome.Answered
                || (operation.Outcome == RegisterOutcome.Unknown && operation.Action != RegisterAction.Read))];
            if (new Search(operations).FindObstacle() is { } obstacle)
            {
                return $"{key.Key} is not linearizable. No order explains:\n  {obstacle}\nnear:\n  " + string.Join(
                    "\n  ", operations.Where(o => o.Called <= obstacle.Returned && (o.Outcome == RegisterOutcome.Unknown || o.Returned >= obstacle.Called - 1)).Take(40));
            }
        }

        return null;
    }

    private static (bool IsPossible, string? Value) Step(string? value, RegisterOperation operation)
    {
        bool isKnown = operation.Outcome == RegisterOutcome.Answered;
        switch (operation.Action)
        {
            case RegisterAction.Read:
                return (string.Equals(value, operation.Result, StringComparison.Ordinal), value);
            case RegisterAction.Set:
                return (true, operation.Argument);
            case RegisterAction.Delete:
                return (true, null);
            default:
                bool matches = string.Equals(value, operation.Expected, StringComparison.Ordinal);
                return (!isKnown || matches == operation.IsDone, matches ? operation.Argument : value);
        }
    }

    private sealed class Node(RegisterOperation operation, int id)
    {
        public RegisterOperation Operation { get; } = operation;

        public int Id { get; } = id;

        /// <summary>For a call: where it returns; null if nobody knows.</summary>
        public Node? Return { get; set; }

        public bool IsCall { get; init; }

        public Node? Previous { get; set; }

        public Node? Next { get; set; }
    }

    private sealed class Search
    {
        private readonly Node _head = new(new RegisterOperation("", RegisterAction.Read), -1);
        private readonly ulong[] _done;
        private readonly HashSet<Configuration> _tried = [];
        private readonly Stack<(Node Call, string? Before)> _path = new();
        private string? _value;
        private int _unexplained;
        private long _steps;

        public Search(RegisterOperation[] operations)
        {
            _done = new ulong[(operations.Length + 63) / 64];
            _unexplained = operations.Count(operation => operation.Outcome == RegisterOutcome.Answered);
            List<(long Time, bool IsReturn, Node Node)> nodes = [];
            for (int i = 0; i < operations.Length; i++)
            {
                Node call = new(operations[i], i) { IsCall = true };
                nodes.Add((operations[i].Called, false, call));
                if (operations[i].Outcome == RegisterOutcome.Answered)
                {
                    call.Return = new Node(operations[i], i);
                    nodes.Add((operations[i].Returned, true, call.Return));
                }
            }

            // Calls come before returns of the same time: the clock is not fine enough to tell, so they count as concurrent.
            Node last = _head;
            foreach ((_, _, Node node) in nodes.OrderBy(node => node.Time).ThenBy(node => node.IsReturn))
            {
                last.Next = node;
                node.Previous = last;
                last = node;
            }
        }

        /// <summary>The operation that ended the longest explanation found, or null if everything is explained.</summary>
        public RegisterOperation? FindObstacle()
        {
            RegisterOperation? obstacle = null;
            int best = int.MaxValue;
            Node? node = _head.Next;
            while (_unexplained > 0)
            {
                if (++_steps > StepMax)
                {
                    throw new InvalidOperationException($"Undecided after {StepMax} steps.");
                }

                if (node!.IsCall)
                {
                    node = TryNext(node) ? _head.Next : node.Next;
                    continue;
                }

                if (_unexplained < best)
                {
                    best = _unexplained;
                    obstacle = node.Operation;
                }

                if (!_path.TryPop(out (Node Call, string? Before) last))
                {
                    return obstacle;
                }

                TakeBack(last.Call, last.Before);
                node = last.Call.Next;
            }

            return null;
        }

        private bool TryNext(Node call)
        {
            (bool isPossible, string? value) = Step(_value, call.Operation);
            if (!isPossible)
            {
                return false;
            }

            _done[call.Id / 64] ^= 1UL << (call.Id % 64);
            if (!_tried.Add(new Configuration([.. _done], value)))
            {
                _done[call.Id / 64] ^= 1UL << (call.Id % 64);
                return false;
            }

            _path.Push((call, _value));
            _value = value;
            Unlink(call);
            if (call.Return is { } end)
            {
                Unlink(end);
                _unexplained--;
            }

            return true;
        }

        private void TakeBack(Node call, string? before)
        {
            if (call.Return is { } end)
            {
                Link(end);
                _unexplained++;
            }

            Link(call);
            _value = before;
            _done[call.Id / 64] ^= 1UL << (call.Id % 64);
        }

        private static void Unlink(Node node)
        {
            node.Previous!.Next = node.Next;
            if (node.Next is { } next)
            {
                next.Previous = node.Previous;
            }
        }

        private static void Link(Node node)
        {
            node.Previous!.Next = node;
            if (node.Next is { } next)
            {
                next.Previous = node;
            }
        }
    }

    /// <summary>Which operations have been explained, and the value that they left.</summary>
    private readonly struct Configuration(ulong[] done, string? value) : IEquatable<Configuration>
    {
        public bool Equals(Configuration other) => string.Equals(Value, other.Value, StringComparison.Ordinal) && Done.AsSpan().SequenceEqual(other.Done);

        public override bool Equals(object? obj) => obj is Configuration other && Equals(other);

        public override int GetHashCode()
        {
            ulong hash = (ulong)(Value?.GetHashCode(StringComparison.Ordinal) ?? 0);
            foreach (ulong word in Done)
            {
                hash = BitOperations.RotateLeft(hash * 0x9E3779B97F4A7C15, 23) ^ word;
            }

            return (int)(hash ^ (hash >> 32));
        }

        private ulong[] Done { get; } = done;

        private string? Value { get; } = value;
    }
}
