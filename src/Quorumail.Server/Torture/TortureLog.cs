using System.Diagnostics;
using System.Globalization;

namespace Quorumail.Server.Torture;

/// <summary>What is said while a torture runs: lines with the time since its start.</summary>
internal sealed class TortureLog(TextWriter output)
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private bool _isWithin;

    /// <summary>A line without the time.</summary>
    public void Write(string text)
    {
        EndLine();
        output.WriteLine(text);
    }

    /// <summary>A line.</summary>
    public void Say(string text)
    {
        Begin(text);
        EndLine();
    }

    /// <summary>Begins a line about something that takes a while.</summary>
    public void Begin(string text)
    {
        EndLine();
        output.Write(string.Create(CultureInfo.InvariantCulture, $"{Stopwatch.GetElapsedTime(_start).TotalSeconds,7:0.0} s  {text}"));
        output.Flush();
        _isWithin = true;
    }

    /// <summary>Ends the line that was begun with what came of it; if it has ended already, that is a line of its own.</summary>
    public void End(string text)
    {
        if (_isWithin)
        {
            output.WriteLine($": {text}");
            _isWithin = false;
        }
        else
        {
            Say(text);
        }
    }

    private void EndLine()
    {
        if (_isWithin)
        {
            output.WriteLine();
            _isWithin = false;
        }
    }
}
