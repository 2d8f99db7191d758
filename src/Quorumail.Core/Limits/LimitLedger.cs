namespace Quorumail.Core.Limits;

/// <summary>
/// What one node holds of the cluster's limits, and the rules for using it: nothing before its grant is committed, nothing
/// after its end, and of its own share no more than is reserved for it. Pure and not thread-safe; it is lost with the process,
/// which only wastes what it held. Times are milliseconds of cluster time.
/// </summary>
/// <param name="node">This node.</param>
/// <param name="margin">
/// What is granted is not used in the last milliseconds before its end: as much as the node's view of cluster time may lag.
/// </param>
/// <param name="askAgain">How long after a refusal nobody asks again, in milliseconds.</param>
/// <param name="keysMax">Keys remembered; further ones get nothing until some are over. As many as the cluster's state may have.</param>
public sealed class LimitLedger(string node, long margin, long askAgain = 1000, int keysMax = 200_000)
{
    /// <summary>Who asks again within so many milliseconds is to ask for more at once.</summary>
    private const long OftenWithin = 1000;

    /// <summary>Who has not asked for so many milliseconds is to ask for less at once.</summary>
    private const long SeldomBeyond = 4000;

    /// <summary>The part of a capacity that a node asks for at once at most: what it does not use is missing elsewhere for a moment.</summary>
    private const int BatchPart = 32;

    /// <summary>Until this long after an answer that came too late for its window nobody asks again, in milliseconds.</summary>
    private const long EdgePause = 10;

    private readonly Dictionary<string, Limit> _limits = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Limit, string Key), Holding> _holdings = [];
    private int _members;
    private int _adopting;

    /// <summary>Keys of which it holds, or has used, something.</summary>
    public int KeyCount => _holdings.Count;

    /// <summary>A limit as this node's state of the log has it.</summary>
    public void Define(LimitDefinition definition, long now)
    {
        if (!_limits.TryGetValue(definition.Name, out var limit))
        {
            _limits.Add(definition.Name, limit = new Limit());
        }
        else if (limit.Definition.Period != definition.Period)
        {
            foreach (var (key, holding) in _holdings)
            {
                if (string.Equals(key.Limit, definition.Name, StringComparison.Ordinal))
                {
                    // What was used of the own share counts on: the windows have other numbers now.
                    holding.Window = definition.WindowOf(now);
                }
            }
        }

        limit.Definition = definition;
        SetReserve(limit, now);
    }

    /// <summary>There is no such limit any more.</summary>
    public void Remove(string limit) => _limits.Remove(limit);

    /// <summary>
    /// The number of members by which this node's share is reserved, as its state of the log has it
    /// (<see cref="LimitMember.Members"/>; 0 if it is no member). A larger share is used a period later: until then it may be
    /// granted to others, or have been used by an earlier life of this node.
    /// </summary>
    public void Share(int members, long now)
    {
        _members = members;
        foreach (var limit in _limits.Values)
        {
            SetReserve(limit, now);
        }
    }

    /// <summary>
    /// What to propose when the log has another number of members than this node goes by, or keeps shares of earlier definitions for it
    /// (<see cref="LimitShare"/>). From now on the smaller of the two shares is used. Null while more connections are open than the
    /// new share allows.
    /// </summary>
    /// <param name="members">How many there are.</param>
    /// <param name="now">Now.</param>
    /// <param name="shares">The highest number of a share that is kept for it; 0 for none. Its definitions are known here.</param>
    public AdoptShareCommand? Adopt(int members, long now, long shares = 0)
    {
        _adopting = members;
        Share(_members, now);
        return _holdings.All(h => !_limits.TryGetValue(h.Key.Limit, out var limit) || limit.Definition.Kind != LimitKind.Concurrency
                || h.Value.OwnSlots <= limit.Definition.ReserveOf(members))
            ? new AdoptShareCommand(node, members, shares)
            : null;
    }

    /// <summary>Takes a token.</summary>
    /// <param name="limit">Which limit; one that is not defined limits nothing.</param>
    /// <param name="key">Which key.</param>
    /// <param name="now">Now.</param>
    /// <param name="batch">
    /// Tokens to ask for when there is none; 0: by how often they are asked for, and in advance, so that nobody waits while many
    /// are used.
    /// </param>
    public LimitDecision Take(string limit, string key, long now, int batch = 0)
    {
        if (!_limits.TryGetValue(limit, out var known))
        {
            return new LimitDecision(LimitVerdict.Passed);
        }

        if (Find(limit, key) is not { } holding)
        {
            return new LimitDecision(LimitVerdict.Refused, Until: now + askAgain);
        }

        var window = known.Definition.WindowOf(now);
        if (holding.Window < window)
        {
            holding.Window = window;
            holding.OwnUsed = 0;
        }

        // Near the edges of a window others may think that it is another one.
        var start = window * known.Definition.Period;
        var end = start + known.Definition.Period;
        if (now >= start + margin && now < end - margin && holding.OwnUsed < known.ReserveAt(now))
        {
            holding.OwnUsed++;
            return new LimitDecision(LimitVerdict.Passed, Token: new LimitToken(limit, key, end, IsOwn: true));
        }

        if (holding.Tokens > 0 && now < holding.Until - margin)
        {
            holding.Tokens--;
            holding.UsedAt = now;
            var isLow = batch == 0 && holding.Batch > 1 && holding.Tokens * 2 < holding.Batch;
            return new LimitDecision(
                LimitVerdict.Passed,
                isLow && !holding.IsAsked && now >= holding.ExhaustedUntil && now >= holding.EdgeUntil && now < end - margin
                    ? Want(holding, known.Definition, key, now, 0) : null,
                Token: new LimitToken(limit, key, holding.Until, IsOwn: false));
        }

        if (holding.IsAsked || now < holding.ExhaustedUntil)
        {
            return HoldBack(holding, now);
        }

        if (now >= end - margin || now < holding.EdgeUntil)
        {
            return new LimitDecision(LimitVerdict.Wait, Until: Math.Max(holding.EdgeUntil, now >= end - margin ? end : 0));
        }

        return new LimitDecision(LimitVerdict.Ask, Want(holding, known.Definition, key, now, batch));
    }

    /// <summary>Puts a token back that was taken and not used after all, so that it serves another; nothing if its window is over.</summary>
    public void PutBack(LimitToken token, long now)
    {
        if (now >= token.Until || !_limits.TryGetValue(token.Limit, out var known)
            || !_holdings.TryGetValue((token.Limit, token.Key), out var holding))
        {
            return;
        }

        if (token.IsOwn)
        {
            holding.OwnUsed -= holding.OwnUsed > 0 && known.Definition.WindowOf(now) == holding.Window ? 1 : 0;
        }
        else if (holding.Until == token.Until)
        {
            holding.Tokens++;
            holding.UsedAt = now;
        }
    }

    /// <summary>Takes a connection slot.</summary>
    public LimitDecision Open(string limit, string key, long now)
    {
        if (!_limits.TryGetValue(limit, out var known))
        {
            return new LimitDecision(LimitVerdict.Passed, Slot: new HeldSlot(limit, key, 0, long.MaxValue));
        }

        if (Find(limit, key) is not { } holding)
        {
            return new LimitDecision(LimitVerdict.Refused, Until: now + askAgain);
        }

        if (holding.OwnSlots < known.ReserveAt(now))
        {
            holding.OwnSlots++;
            return new LimitDecision(LimitVerdict.Passed, Slot: new HeldSlot(limit, key, 0, long.MaxValue));
        }

        if (holding.IsAsked || now < holding.ExhaustedUntil)
        {
            return HoldBack(holding, now);
        }

        Asked(holding, now);
        return new LimitDecision(LimitVerdict.Ask, new WantSlotCommand(limit, key, node));
    }

    /// <summary>The answer to a question for tokens; null if its outcome is not known, or it was refused by the log.</summary>
    public void Answered(WantTokensCommand asked, LimitAnswer? answer, long now)
    {
        if (Settle(asked.Limit, asked.Key, answer, now) is { } holding && answer is { Status: LimitStatus.Granted, Count: > 0 } granted)
        {
            // Tokens of an earlier window have ended.
            holding.Tokens = granted.Until == holding.Until ? holding.Tokens + granted.Count : granted.Count;
            holding.Until = granted.Until;
        }
    }

    /// <summary>The answer to a question for a slot.</summary>
    /// <returns>The slot, or null if there is none.</returns>
    public HeldSlot? Answered(WantSlotCommand asked, LimitAnswer? answer, long now)
    {
        if (Settle(asked.Limit, asked.Key, answer, now) is not { } holding || answer is not { Status: LimitStatus.Granted } granted
            || now >= granted.Until - margin)
        {
            return null;
        }

        holding.Leased++;
        return new HeldSlot(asked.Limit, asked.Key, granted.Slot, granted.Until);
    }

    /// <summary>What to propose to lease a slot for longer; null if it needs none.</summary>
    public KeepSlotCommand? Keep(HeldSlot slot) =>
        slot.Number == 0 ? null : new KeepSlotCommand(slot.Limit, slot.Key, node, slot.Number);

    /// <summary>Whether a slot's connection must be closed now.</summary>
    public bool MustClose(HeldSlot slot, long now) => slot.Number != 0 && now >= slot.Until - margin;

    /// <summary>A slot's connection is closed. Returns what to propose, if anything; it need not be known to be applied.</summary>
    public FreeSlotCommand? Close(HeldSlot slot)
    {
        if (!_holdings.TryGetValue((slot.Limit, slot.Key), out var holding))
        {
            return null;
        }

        if (slot.Number == 0)
        {
            holding.OwnSlots = Math.Max(0, holding.OwnSlots - 1);
            return null;
        }

        holding.Leased--;
        return new FreeSlotCommand(slot.Limit, slot.Key, node, slot.Number);
    }

    /// <summary>
    /// Gives back tokens that nobody has wanted for a while, so that other nodes can have them, and forgets what is over. To be
    /// called now and then; propose each command once and whatever becomes of it.
    /// </summary>
    /// <param name="now">Now.</param>
    /// <param name="idle">How long nobody has wanted them, in milliseconds.</param>
    public IReadOnlyList<ReturnTokensCommand> GiveBack(long now, long idle)
    {
        var commands = new List<ReturnTokensCommand>();
        foreach (var ((limit, key), holding) in _holdings)
        {
            if (holding.Tokens > 0 && now < holding.Until && now - holding.UsedAt >= idle)
            {
                commands.Add(new ReturnTokensCommand(limit, key, node, holding.Until, holding.Tokens));
                holding.Tokens = 0;
            }

            if (!holding.IsAsked && holding.OwnSlots == 0 && holding.Leased == 0 && now >= holding.Until && now >= holding.ExhaustedUntil
                && (!_limits.TryGetValue(limit, out var known) || known.Definition.WindowOf(now) > holding.Window))
            {
                _holdings.Remove((limit, key));
            }
        }

        return commands;
    }

    private static LimitDecision HoldBack(Holding holding, long now)
    {
        if (now < holding.ExhaustedUntil)
        {
            return new LimitDecision(LimitVerdict.Refused, Until: holding.ExhaustedUntil);
        }

        holding.Waiting++;
        return new LimitDecision(LimitVerdict.Wait);
    }

    private static void Asked(Holding holding, long now)
    {
        holding.IsAsked = true;
        holding.Waiting = 0;
        holding.UsedAt = now;
        holding.AskedAt = now;
    }

    private WantTokensCommand Want(Holding holding, LimitDefinition limit, string key, long now, int batch)
    {
        if (batch == 0)
        {
            var pause = now - holding.AskedAt;
            holding.Batch = Math.Clamp(
                pause < OftenWithin ? holding.Batch * 2 : pause > SeldomBeyond ? holding.Batch / 2 : holding.Batch,
                1, Math.Max(1, limit.Capacity / BatchPart));
            batch = Math.Min(Math.Max(holding.Batch, 1 + holding.Waiting), limit.Capacity);
        }

        Asked(holding, now);
        return new WantTokensCommand(limit.Name, key, node, batch);
    }

    private Holding? Settle(string limit, string key, LimitAnswer? answer, long now)
    {
        if (!_holdings.TryGetValue((limit, key), out var holding))
        {
            return null;
        }

        holding.IsAsked = false;
        switch (answer)
        {
            case { Status: LimitStatus.Granted }:
                holding.ExhaustedUntil = 0;
                break;
            case { Status: LimitStatus.Exhausted, Until: var until } when until <= now + margin:
                // The leader was still in a window that is over, or nearly, as this node sees it.
                holding.EdgeUntil = Math.Max(until, now + EdgePause);
                break;
            case { Status: LimitStatus.Exhausted, Until: var until }:
                holding.ExhaustedUntil = Math.Min(until, now + askAgain);
                break;
            default:
                holding.ExhaustedUntil = now + askAgain;
                break;
        }

        return holding;
    }

    private Holding? Find(string limit, string key)
    {
        if (!_holdings.TryGetValue((limit, key), out var holding) && _holdings.Count < keysMax)
        {
            _holdings.Add((limit, key), holding = new Holding());
        }

        return holding;
    }

    private void SetReserve(Limit limit, long now)
    {
        var reserve = limit.Definition.ReserveOf(_members == 0 ? 0 : Math.Max(_members, _adopting));
        if (reserve <= limit.Reserve)
        {
            limit.Reserve = reserve;
        }
        else if (reserve != limit.NextReserve)
        {
            limit.NextAt = now + limit.Definition.Period + margin;
        }

        limit.NextReserve = reserve;
    }

    private sealed class Limit
    {
        public LimitDefinition Definition = null!;
        public int Reserve;
        public int NextReserve;
        public long NextAt;

        public int ReserveAt(long now)
        {
            if (Reserve < NextReserve && now >= NextAt)
            {
                Reserve = NextReserve;
            }

            return Reserve;
        }
    }

    private sealed class Holding
    {
        public int Tokens;
        public long Until;
        public long UsedAt;
        public long Window;
        public int OwnUsed;
        public int OwnSlots;
        public int Leased;
        public bool IsAsked;
        public int Batch = 1;
        public int Waiting;
        public long AskedAt = long.MinValue / 2;
        public long ExhaustedUntil;
        public long EdgeUntil;
    }
}
