using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;

namespace Quorumail.Simulation;

/// <summary>
/// One run: clients send, the server crashes and restarts, the log has outages, next hops misbehave; then all faults stop,
/// and everything must come to its end.
/// </summary>
internal sealed class World
{
    private const long Hour = 3_600_000;
    private const long FaultyTime = 3 * Hour;
    private const int MaxSteps = 200_000;

    private readonly Simulator _simulator;
    private readonly Oracle _oracle;
    private readonly ModelDisk _disk;
    private readonly ModelLog _log;
    private readonly ModelNextHops _hops;
    private readonly PlantedFault _fault;
    private readonly long _start;
    private int _unserved;
    private bool _isFaulty = true;

    public World(int seed, PlantedFault fault = PlantedFault.None, bool keepTrace = false)
    {
        _simulator = new Simulator(seed, keepTrace);
        _oracle = new Oracle(_simulator);
        _disk = new ModelDisk(_oracle);
        _oracle.Disks.Add(ModelServer.NodeName, _disk);
        _log = new ModelLog(_simulator, _oracle);
        _hops = new ModelNextHops(_simulator, _oracle);
        _fault = fault;
        _start = _simulator.Now;
    }

    /// <summary>As the server's, but quicker to give up.</summary>
    public static RetryPolicy Retry { get; } = new()
    {
        ExpireAfter = 20 * Hour,
        ExpireNullSenderAfter = 10 * Hour,
        DestinationSchedule = [30_000, 60_000, 120_000, 300_000, Hour / 2],
    };

    public Simulator Simulator => _simulator;

    public int Crashes { get; private set; }

    public Oracle Oracle => _oracle;

    /// <summary>Runs to the end; returns the promise that was broken, or null.</summary>
    public string? Run(int messages = 12)
    {
        _unserved = messages;
        for (var i = 0; i < messages; i++)
        {
            var envelope = MakeEnvelope();
            _simulator.After(_simulator.Between(0, (int)(2 * Hour)), () => Send(envelope));
        }

        for (var i = 0; i < 4; i++)
        {
            _simulator.After(_simulator.Between(0, (int)FaultyTime), () => _log.OutageUntil = _simulator.Now + _simulator.Between(1000, 60_000));
            _simulator.After(_simulator.Between(0, (int)FaultyTime), () => _hops.FlakyDownUntil = _simulator.Now + _simulator.Between(1000, (int)Hour));
        }

        _simulator.After(FaultyTime, Heal);
        _simulator.AfterStep = MaybeCrash;
        Start();
        try
        {
            var isOver = _simulator.Run(IsOver, _start + 48 * Hour, MaxSteps);
            if (!isOver)
            {
                return $"all comes to its end: {_unserved} messages not taken, {_oracle.State.Count} queued after {_simulator.Steps} steps";
            }

            _oracle.CheckEnd();
            return null;
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
        !_isFaulty && _unserved == 0 && _oracle.State.Count == 0 && _disk.Retractions.Count == 0
        && (_disk.Bodies.Count == 0 || _simulator.Now > _start + FaultyTime + Hour)
        && _oracle.Submissions.All(s => s.Answer != SubmissionAnswer.None || !_oracle.State.TryGet(s.Id, out _));

    private Envelope MakeEnvelope() => MakeEnvelope(_simulator.Random);

    internal static Envelope MakeEnvelope(Random random)
    {
        var recipients = Enumerable.Range(0, random.Next(1, 5)).Select(i => new EnvelopeRecipient(
            $"user{i}@{ModelNextHops.Domains[random.Next(random.Next(4) == 0 ? 5 : 3)]}",
            random.Next(6) switch { 0 => DsnNotify.Never, 1 => DsnNotify.Success | DsnNotify.Failure, _ => DsnNotify.Unspecified }));
        return new Envelope(random.Next(8) == 0 ? "" : $"someone@{ModelNextHops.Senders}", [.. recipients]);
    }

    /// <summary>A client that tries until it is answered 250.</summary>
    private void Send(Envelope envelope)
    {
        var server = _log.Server;
        var isDone = false;
        if (server is { IsReady: true })
        {
            server.Accept(envelope, answer =>
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
                        _simulator.After(_simulator.Between(1000, 600_000), () => Send(envelope));
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

    private void Start()
    {
        if (_log.Server is null)
        {
            _ = new ModelServer(_simulator, _log, _disk, _oracle, _hops, _fault);
        }
    }

    private void MaybeCrash()
    {
        if (_isFaulty && _log.Server is not null && _simulator.Chance(0.4))
        {
            Crash(_simulator.Between(100, 60_000));
        }
    }

    private void Crash(long downTime)
    {
        Crashes++;
        _simulator.Record("crash", downTime);
        _log.Server = null;
        _disk.LosePower(_simulator.Random);
        _simulator.After(downTime, Start);
    }

    private void Heal()
    {
        _isFaulty = false;
        _log.IsFaulty = false;
        _hops.IsFaulty = false;
        Crash(1000);
    }
}
