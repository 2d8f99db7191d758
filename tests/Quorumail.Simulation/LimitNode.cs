using Quorumail.Core.Limits;

namespace Quorumail.Simulation;

/// <summary>One life of a node that takes tokens and opens connections, with its own view of log and time.</summary>
internal sealed class LimitNode
{
    private const long Margin = 200;

    private readonly LimitWorld _world;
    private readonly LimitState _state = new();
    private readonly LimitLedger _ledger;
    private readonly List<HeldSlot> _open = [];
    private readonly long _skew;
    private int _applied;

    public LimitNode(LimitWorld world, string name)
    {
        _world = world;
        Name = name;
        _skew = world.Simulator.Between(-50, 50);
        _ledger = new LimitLedger(name, world.Fault == LimitFault.IgnoresEnds ? -5000 : Margin, 100);
        CatchUp();
        After(world.Simulator.Between(1, 100), Tick);
    }

    public string Name { get; }

    public bool IsCutOff { get; set; }

    public bool IsAlive => _world.Nodes.TryGetValue(Name, out var present) && ReferenceEquals(present, this);

    public IReadOnlyList<HeldSlot> Open => _open;

    private Simulator Simulator => _world.Simulator;

    /// <summary>Cluster time as it sees it.</summary>
    private long Now => Simulator.Now + _skew;

    public void After(long milliseconds, Action action) => Simulator.After(milliseconds, () =>
    {
        if (IsAlive)
        {
            action();
        }
    });

    public void CatchUp()
    {
        if (IsCutOff || !IsAliveOrNew)
        {
            return;
        }

        for (; _applied < _world.Committed.Count; _applied++)
        {
            var (command, stamp, answer) = _world.Committed[_applied];
            if (_state.Apply(command, stamp) != answer)
            {
                throw new BrokenPromiseException("a command is answered the same everywhere");
            }
        }

        var now = _world.Fault == LimitFault.SharesAtOnce ? Now - 100_000 : Now;
        foreach (var definition in _state.Definitions)
        {
            _ledger.Define(definition, now);
        }

        _ledger.Share(_state.Members.FirstOrDefault(m => m.Node == Name)?.Members ?? 0, now);
    }

    private bool IsAliveOrNew => !_world.Nodes.TryGetValue(Name, out var present) || ReferenceEquals(present, this);

    private void Tick()
    {
        var members = _state.Members;
        var count = members.Count(m => m.Members > 0);
        var kept = _state.Shares.Where(s => s.Node == Name && s.Until == long.MaxValue).Select(s => s.Number).DefaultIfEmpty().Max();
        if (members.FirstOrDefault(m => m.Node == Name) is { Members: > 0 } own && (own.Members != count || kept > 0)
            && _ledger.Adopt(count, Now, kept) is { } adopt)
        {
            _world.Propose(this, adopt, _ => { });
        }

        foreach (var slot in _open.ToArray())
        {
            if (_ledger.MustClose(slot, Now) || Simulator.Chance(10))
            {
                Close(slot);
            }
            else if (_ledger.Keep(slot) is { } keep && slot.Until - Now < 2000)
            {
                _world.Propose(this, keep, slot.Kept);
            }
        }

        if (Simulator.Chance(5))
        {
            foreach (var back in _ledger.GiveBack(Now, 500))
            {
                _world.Propose(this, back, _ => { });
            }
        }

        for (var i = 0; i < _world.Demand; i++)
        {
            Take(Simulator.Random.Next(2) == 0 ? "rate" : "shared-rate");
            Connect(Simulator.Random.Next(2) == 0 ? "slots" : "shared-slots");
        }

        After(Simulator.Between(40, 120), Tick);
    }

    private void Take(string limit)
    {
        var key = Simulator.Random.Next(4) == 0 ? "b" : "a";
        var decision = _ledger.Take(limit, key, Now, (int)Simulator.Between(0, 3));
        if (decision.Verdict == LimitVerdict.Passed)
        {
            if (_world.Demand == 1 && Simulator.Chance(10))
            {
                // Not used after all: it is put back at once, or after a while, or given up.
                After(Simulator.Between(0, 1000), () => _ledger.PutBack(decision.Token, Now));
            }
            else
            {
                _world.Used(limit, key);
            }
        }

        if (decision.Ask is WantTokensCommand want)
        {
            _world.Propose(this, want, answer =>
            {
                if (answer is null && _world.Fault == LimitFault.UsesUnknownGrants)
                {
                    answer = new LimitAnswer(LimitStatus.Granted, want.Count, _world.EndOf(limit));
                }

                _ledger.Answered(want, answer, Now);
            });
        }
    }

    private void Connect(string limit)
    {
        var decision = _ledger.Open(limit, "a", Now);
        if (decision.Slot is { } own)
        {
            Opened(own);
        }
        else if (decision.Ask is WantSlotCommand want)
        {
            _world.Propose(this, want, answer =>
            {
                if (_ledger.Answered(want, answer, Now) is { } slot)
                {
                    Opened(slot);
                }
            });
        }
    }

    private void Opened(HeldSlot slot)
    {
        _open.Add(slot);
        _world.CheckConnections(slot.Limit);

        // Closed to the millisecond, however slow the ticks are.
        if (slot.Number != 0 && _world.Fault != LimitFault.IgnoresEnds)
        {
            Watch(slot);
        }
    }

    private void Watch(HeldSlot slot) => After(Math.Max(1, slot.Until - Margin - Now), () =>
    {
        if (_open.Contains(slot))
        {
            if (_ledger.MustClose(slot, Now))
            {
                Close(slot);
            }
            else
            {
                Watch(slot);
            }
        }
    });

    private void Close(HeldSlot slot)
    {
        _open.Remove(slot);
        if (_ledger.Close(slot) is { } free)
        {
            _world.Propose(this, free, _ => { });
        }
    }
}
