using System.CommandLine;
using System.Globalization;
using System.Numerics;

namespace Quorumail.Server.CommandLine;

/// <summary>Bounds of an option that is a number.</summary>
internal static class OptionRange
{
    /// <summary>Refuses what is not a number, or out of bounds.</summary>
    public static void Between<T>(this Option<T> option, T least, T most)
        where T : struct, INumber<T> => option.Validators.Add(result =>
        {
            // What can't be read at all is refused by the option itself; its value must not be asked for.
            if (result.Tokens is [var token] && T.TryParse(token.Value, CultureInfo.InvariantCulture, out var value) && (value < least || value > most))
            {
                result.AddError(FormattableString.Invariant($"{option.Name} is a number from {least} to {most}"));
            }
        });
}
