using Quorumail.Core.Limits;

namespace Quorumail.Simulation;

/// <summary>
/// One run of limits: nodes take as much as they can of tokens and connections, while they crash, are cut off, join and leave,
/// limits get other policies and less capacity, and what nodes propose commits, or not, or late. Nobody ever sees more than the
/// highest capacity.
/// </summary>
internal sealed class LimitWorld
{
    public const int Capacity = 24;

    private const long Period = 5000;

    private readonly List<(LimitCommand Command, long Stamp, LimitAnswer Answer)> _committed = [];
    private readonly LimitState _state = new();
    private readonly Dictionary<(string Limit, string Key, long Window), int> _used = [];
    private readonly bool _isFaulty;
    private readonly long _start;
    private List<string> _members = ["n1", "n2", "n3"];

    public LimitWorld(int seed, LimitFault fault = LimitFault.None, bool isFaulty = true)
    {
        Simulator = new Simulator(seed);
        Fault = fault;
        _isFaulty = isFaulty;
        _start = Simulator.Now;
    }

    public Simulator Simulator { get; }

    public LimitFault Fault { get; }

    /// <summary>What each node tries at each of its ticks.</summary>
    public int Demand => _isFaulty ? 1 : 3;

    public IReadOnlyList<(LimitCommand Command, long Stamp, LimitAnswer Answer)> Committed => _committed;

    public SortedDictionary<string, LimitNode> Nodes { get; } = new(StringComparer.Ordinal);

    /// <summary>By limit, key and window, all of what was used in whole windows.</summary>
    public IEnumerable<int> UsedOf(string limit, string key) => _used
        .Where(u => u.Key.Limit == limit && u.Key.Key == key && (u.Key.Window * Period) > _start + Period && (u.Key.Window + 1) * Period < Simulator.Now)
        .Select(u => u.Value);

    /// <summary>Runs for some windows; returns the promise that was broken, or null.</summary>
    public string? Run(int windows = 10)
    {
        foreach (var (name, kind, policy) in new[]
        {
            ("rate", LimitKind.Rate, LimitPolicy.Closed), ("shared-rate", LimitKind.Rate, LimitPolicy.Share),
            ("slots", LimitKind.Concurrency, LimitPolicy.Closed), ("shared-slots", LimitKind.Concurrency, LimitPolicy.Share),
        })
        {
            Commit(new DefineLimitCommand(new LimitDefinition(name, kind, Capacity, Period, policy)));
        }

        Commit(new LimitNodesCommand(_members));
        _members.ForEach(Start);
        Simulator.AfterStep = () =>
        {
            if (_isFaulty && Simulator.Chance(0.3))
            {
                Fail();
            }
        };
        try
        {
            Simulator.Run(() => Simulator.Now > _start + windows * Period, long.MaxValue, 1_000_000);
            return null;
        }
        catch (BrokenPromiseException broken)
        {
            return broken.Message;
        }
    }

    public long EndOf(string limit) => _state.Definitions.First(d => d.Name == limit).EndOf(Simulator.Now);

    public void Propose(LimitNode from, LimitCommand command, Action<LimitAnswer?> answer)
    {
        var fate = _isFaulty ? Simulator.Random.NextDouble() * 100 : 100;
        if (fate < 3)
        {
            from.After(Simulator.Between(1, 50), () => answer(null));
        }
        else if (fate < 10 || from.IsCutOff)
        {
            Simulator.After(Simulator.Between(1, 8000), () => Commit(command));
            from.After(3000, () => answer(null));
        }
        else
        {
            Simulator.After(Simulator.Between(1, 20), () =>
            {
                var said = Commit(command);
                from.After(from.IsCutOff ? 3000 : Simulator.Between(0, 20), () => answer(from.IsCutOff ? null : said));
            });
        }
    }

    /// <summary>A token is used.</summary>
    public void Used(string limit, string key)
    {
        var at = (limit, key, Simulator.Now / Period);
        _used[at] = _used.GetValueOrDefault(at) + 1;
        if (_used[at] > Capacity)
        {
            throw new BrokenPromiseException($"never more than {Capacity} of {limit} in a window");
        }
    }

    /// <summary>A connection is open.</summary>
    public void CheckConnections(string limit)
    {
        if (Nodes.Values.Sum(n => n.Open.Count(s => s.Limit == limit)) > Capacity)
        {
            throw new BrokenPromiseException($"never more than {Capacity} of {limit} at once");
        }
    }

    private LimitAnswer Commit(LimitCommand command)
    {
        var answer = _state.Apply(command, Simulator.Now);
        Simulator.Record(command.GetType().Name, answer);
        _committed.Add((command, Simulator.Now, answer));
        foreach (var limit in _state.Definitions)
        {
            foreach (var key in (string[])["a", "b"])
            {
                if (_state.GrantedOf(limit.Name, key, Simulator.Now) > Capacity)
                {
                    throw new BrokenPromiseException($"never more than {Capacity} of {limit.Name} granted");
                }
            }
        }

        foreach (var node in Nodes.Values)
        {
            node.After(Simulator.Between(0, 30), node.CatchUp);
        }

        return answer;
    }

    private void Start(string name)
    {
        if (!Nodes.ContainsKey(name) && _members.Contains(name))
        {
            Nodes[name] = new LimitNode(this, name);
        }
    }

    private void Fail()
    {
        var name = _members[Simulator.Random.Next(_members.Count)];
        switch (Simulator.Random.Next(5))
        {
            case 0:
                Nodes.Remove(name);
                Simulator.After(Simulator.Between(10, 4000), () => Start(name));
                break;
            case 1 when Nodes.TryGetValue(name, out var node):
                node.IsCutOff = true;
                Simulator.After(Simulator.Between(100, 9000), () =>
                {
                    node.IsCutOff = false;
                    node.After(0, node.CatchUp);
                });
                break;
            case 2 when _members.Count < 5:
                _members = [.. _members, Enumerable.Range(1, 5).Select(i => $"n{i}").First(n => !_members.Contains(n))];
                Commit(new LimitNodesCommand(_members));
                Start(_members[^1]);
                break;
            case 3 when _members.Count > 3:
                // Its process ends before it is no member any more.
                _members = [.. _members.Where(m => m != name)];
                Nodes.Remove(name);
                Commit(new LimitNodesCommand(_members));
                break;
            case 4:
                Redefine();
                break;
        }
    }

    private void Redefine()
    {
        var limits = _state.Definitions.ToArray();
        var limit = limits[Simulator.Random.Next(limits.Length)] with
        {
            Policy = Simulator.Chance(50) ? LimitPolicy.Share : LimitPolicy.Closed,
            Capacity = Simulator.Chance(75) ? Capacity : Capacity / 2,
        };
        Commit(new DefineLimitCommand(limit, KeepsShares: Fault != LimitFault.ForgetsShares));
    }
}
