using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Simulation;

/// <summary>
/// One run of a cluster: clients send to any node; operators hold, release, requeue, delete, suspend and resume; nodes crash, lose their
/// disks, have slow ones, are stopped, cut off, suspected and drained, join and leave, have clocks that differ and jump, and go down all at once; the log has
/// outages; next hops misbehave. Then all faults stop, operators let everything go, and everything must come to its end, the same on all nodes.
/// </summary>
internal sealed class ClusterWorld
{
    private const long Hour = 3_600_000;
    private const long FaultyTime = Hour;
    private const int MaxSteps = 400_000;

    /// <summary>After so long without faults nothing is waited for any more but next hops and operators.</summary>
    private const long CalmTime = 15 * 60_000;

    private readonly Simulator _simulator;
    private readonly Oracle _oracle;
    private readonly ClusterLog _log;
    private readonly ModelNextHops _hops;
    private readonly PlantedFault _fault;
    private readonly ModelOperator _operator;
    private readonly List<string> _names;
    private readonly Dictionary<string, long> _incarnations = new(StringComparer.Ordinal);
    private readonly long _start;
    private int _unserved;
    private bool _isFaulty = true;

    public ClusterWorld(int seed, PlantedFault fault = PlantedFault.None, bool keepTrace = false)
    {
        _simulator = new Simulator(seed, keepTrace);
        _oracle = new Oracle(_simulator);
        _names = [.. Enumerable.Range(1, seed % 4 == 0 ? 5 : 3).Select(i => $"n{i}")];
        _log = new ClusterLog(_simulator, _oracle);
        _hops = new ModelNextHops(_simulator, _oracle);
        _operator = new ModelOperator(_simulator, _oracle, _log);
        _fault = fault;
        _start = _simulator.Now;
        foreach (var name in _names)
        {
            _oracle.Disks.Add(name, new ModelDisk(_oracle) { WallError = WallError() });
        }
    }

    public Simulator Simulator => _simulator;

    public Oracle Oracle => _oracle;

    public int Crashes { get; private set; }

    public int Wipes { get; private set; }

    public int Stops { get; private set; }

    /// <summary>Nodes that have joined or left.</summary>
    public int Changes { get; private set; }

    /// <summary>Runs to the end; returns the promise that was broken, or null.</summary>
    public string? Run(int messages = 12)
    {
        _unserved = messages;
        for (var i = 0; i < messages; i++)
        {
            var envelope = World.MakeEnvelope(_simulator.Random);
            _simulator.After(_simulator.Between(0, (int)(FaultyTime * 2 / 3)), () => Send(envelope));
        }

        _simulator.After(_simulator.Between(0, (int)FaultyTime), () => _log.OutageUntil = _simulator.Now + _simulator.Between(1000, 60_000));
        _simulator.After(_simulator.Between(0, (int)FaultyTime), () => _hops.FlakyDownUntil = _simulator.Now + _simulator.Between(1000, (int)Hour));
        _simulator.After(FaultyTime, Heal);
        _simulator.AfterStep = MaybeFail;
        foreach (var name in _names)
        {
            _simulator.After(_simulator.Between(0, 2000), () => Start(name));
        }

        KeepCopies();
        _operator.Begin();
        try
        {
            if (!_simulator.Run(IsOver, _start + 48 * Hour, MaxSteps))
            {
                return $"all comes to its end: {_unserved} messages not taken, {_oracle.State.Count} queued, copies {_oracle.State.Copies} "
                    + $"after {_simulator.Steps} steps; left: {string.Join(", ", _oracle.State.Messages.Select(m => $"{m.Id} of {m.Owner}"))}; "
                    + $"bodies {string.Join(", ", _oracle.Disks.SelectMany(d => d.Value.Bodies.Keys.Select(id => $"{id} on {d.Key}")))}";
            }

            _oracle.CheckEnd();
            return CheckAgreement();
        }
        catch (BrokenPromiseException broken)
        {
            return broken.Message;
        }
        catch (Core.InvariantViolationException violated)
        {
            return violated.Message;
        }
    }

    private bool IsOver() =>
        !_isFaulty && _unserved == 0 && _oracle.State.Count == 0 && _oracle.Disks.Values.All(d => d.Retractions.Count == 0)
        && _oracle.Disks.Values.All(d => d.Bodies.Count == 0)
        && _oracle.Submissions.All(s => s.Answer != SubmissionAnswer.None || !_oracle.State.TryGet(s.Id, out _));

    /// <summary>When all is over every node has the same queue, and it is the one that the log describes.</summary>
    private string? CheckAgreement()
    {
        var expected = Core.Tests.Queue.QueueStore.Dump(_oracle.State);
        foreach (var server in _log.Servers.Values)
        {
            server.CatchUp();
            if (Core.Tests.Queue.QueueStore.Dump(server.State) != expected)
            {
                return $"{server.Name} has the queue that the others have";
            }
        }

        return null;
    }

    /// <summary>A client that tries one node after the other until it is answered 250.</summary>
    private void Send(Envelope envelope)
    {
        var isDone = false;
        var servers = _log.Servers.Values.Where(s => s.IsReady).ToArray();
        if (servers.Length > 0)
        {
            servers[_simulator.Random.Next(servers.Length)].Accept(envelope, answer =>
            {
                if (!isDone)
                {
                    isDone = true;
                    if (answer == SubmissionAnswer.Taken)
                    {
                        _unserved--;
                    }
                    else
                    {
                        _simulator.After(_simulator.Between(1000, 300_000), () => Send(envelope));
                    }
                }
            });
        }

        // The connection breaks, or there was none.
        _simulator.After(_simulator.Between(60_000, 300_000), () =>
        {
            if (!isDone)
            {
                isDone = true;
                Send(envelope);
            }
        });
    }

    private void Start(string name)
    {
        if (!_log.Servers.ContainsKey(name) && _names.Contains(name))
        {
            _ = new ClusterServer(name, _log, _oracle.Disks[name], _simulator, _oracle, _hops, _fault);
        }
    }

    private void MaybeFail()
    {
        if (!_isFaulty || !_simulator.Chance(0.6))
        {
            return;
        }

        var name = _names[_simulator.Random.Next(_names.Count)];
        if (!_log.Servers.TryGetValue(name, out var server))
        {
            return;
        }

        switch (_simulator.Random.Next(13))
        {
            case 0 or 1:
                Crash(name, _simulator.Between(100, 90_000));
                break;
            case 2 when MayWipe():
                Wipes++;
                Crash(name, _simulator.Between(100, 90_000));
                _oracle.Disks[name].Wipe();
                break;
            case 3 or 4:
                Stops++;
                _simulator.Record("stop", name);
                server.Stop(_simulator.Between(100, 120_000));
                break;
            case 5:
                _simulator.Record("cut", name);
                server.CutOff(_simulator.Between(100, 120_000));
                break;
            case 6:
                _simulator.Record("suspect", name);
                _log.Suspect(name);
                break;
            case 7:
                Drain(server);
                break;
            case 8:
                SlowDown(_oracle.Disks[name]);
                break;
            case 9:
                _oracle.Disks[name].WallError = WallError();
                break;
            case 10:
                StopAll();
                break;
            case 11 when _names.Count < 5:
                Join();
                break;
            case 12 when _names.Count > 3 && MayWipe():
                Leave(name);
                break;
        }
    }

    /// <summary>Only a disk whose loss the copies survive: no other is lost, and every message has all of its.</summary>
    private bool MayWipe() =>
        _oracle.State.Members is { } members && (_oracle.State.Copies.TooFew == 0 || _fault == PlantedFault.NeverCopiesAgain)
        && _oracle.Disks.All(d => members.Find(d.Key)?.Incarnation == d.Value.Incarnation && !d.Value.IsUnchecked);

    private void Crash(string name, long downTime)
    {
        Crashes++;
        _simulator.Record("crash", (name, downTime));
        _log.Servers.Remove(name);
        _oracle.Disks[name].LosePower(_simulator.Random);
        _log.Miss(name);
        _simulator.After(downTime, () => Start(name));
    }

    private void Drain(ClusterServer server)
    {
        server.ProposeUntilKnown(new NodeDrainingCommand(server.Name, true, _simulator.Chance(50)));
        server.After(_simulator.Between(1000, 200_000), () =>
        {
            if (_simulator.Chance(50) && _isFaulty)
            {
                Crash(server.Name, _simulator.Between(100, 20_000));
            }
            else
            {
                server.ProposeUntilKnown(new NodeDrainingCommand(server.Name, false));
            }
        });
    }

    /// <summary>A node with an empty disk joins, perhaps by the name of one that has left.</summary>
    private void Join()
    {
        var name = Enumerable.Range(1, 5).Select(i => $"n{i}").First(n => !_names.Contains(n));
        _incarnations[name] = _incarnations.GetValueOrDefault(name) + 1;
        _oracle.Disks.Add(name, new ModelDisk(_oracle, _incarnations[name]) { WallError = WallError() });
        _names.Add(name);
        Changes++;
        Start(name);
    }

    private void Leave(string name)
    {
        var disk = _oracle.Disks[name];
        _simulator.Record("leave", name);
        _incarnations[name] = disk.Incarnation;
        _log.Servers.Remove(name);
        disk.Wipe();
        _oracle.Disks.Remove(name);
        _names.Remove(name);
        Changes++;
        _log.ChangeMembers();
    }

    private long WallError() => _simulator.Chance(50) ? _simulator.Between(-50, 50) : _simulator.Between(-7_200_000, 7_200_000);

    private void StopAll()
    {
        foreach (var name in _log.Servers.Keys.ToArray())
        {
            Crash(name, _simulator.Between(1000, 60_000));
        }
    }

    private void SlowDown(ModelDisk disk)
    {
        disk.IsSlow = true;
        _simulator.After(_simulator.Between(1000, 300_000), () => disk.IsSlow = false);
    }

    /// <summary>Brings messages back to as many copies as they need.</summary>
    private void KeepCopies()
    {
        foreach (var message in _oracle.State.MessagesWantingCopies(null, 50))
        {
            var source = _log.Servers.Values.FirstOrDefault(s => s.IsReachable && s.Disk.Find(message.Id) is not null);
            var target = _log.Servers.Values.FirstOrDefault(s => s.IsReachable && s.IsReady
                && !message.Holders.Contains(new BodyHolder(s.Name, s.Disk.Incarnation)));
            if (source is not null && target is not null && _fault != PlantedFault.NeverCopiesAgain)
            {
                source.CopyTo(target, message.Id);
            }
        }

        _simulator.After(_isFaulty ? 5000 : 300_000, KeepCopies);
    }

    private void Heal()
    {
        _isFaulty = false;
        _log.IsFaulty = false;
        _hops.IsFaulty = false;
        _simulator.After(CalmTime, () => _oracle.CheckCalm(_log.ClusterTime));
        _simulator.After(2 * CalmTime, _operator.LetGo);
        foreach (var name in _names)
        {
            if (_log.Servers.ContainsKey(name))
            {
                Crash(name, _simulator.Between(500, 3000));
            }
        }
    }
}
