"""A generator and a discriminator in ONE optimiser and ONE backward: who learns from which loss is said by stopping.

The data are eight Gaussians on a circle. The discriminator's loss reads `stop_gradient(fake)`, so that it leaves the
generator alone; the generator's loss reads the discriminator through stopped parameters, so that it leaves the
discriminator alone. `Subnets.matching` gives each of the two its learning rate (Heusel et al. 2017, arXiv 1706.08500).
"""

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from trunkline import MLP, GroupOptions, Subnets, WarmupCosine, set_rates, stop_gradient

MODES, SPREAD = 8, 0.1
NOISE, STEPS, BATCH = 8, 1_800, 256
ANGLES = torch.arange(MODES) * (2 * math.pi / MODES)
CENTERS = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)


class GAN(nn.Module):
    """Both networks in one module, so that `Subnets` sees every parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(MLP(NOISE, [64, 64]), nn.Linear(64, 2))
        self.discriminator = nn.Sequential(MLP(2, [64, 64]), nn.Linear(64, 1))


def sample(n: int) -> Tensor:
    """n points `[n, 2]` of the data."""
    return CENTERS[torch.randint(MODES, (n,))] + SPREAD * torch.randn(n, 2)


def discriminator_loss(gan: GAN, real: Tensor, fake: Tensor) -> Tensor:
    """Tell real `[N, 2]` from fake `[N, 2]`; to this loss the fakes are constants."""
    on_real, on_fake = gan.discriminator(real), gan.discriminator(stop_gradient(fake))
    return F.softplus(-on_real).mean() + F.softplus(on_fake).mean()


def generator_loss(gan: GAN, fake: Tensor) -> Tensor:
    """Pass fake `[N, 2]` for real; to this loss the discriminator is a fixed function."""
    fixed = {name: stop_gradient(parameter) for name, parameter in gan.discriminator.named_parameters()}
    return F.softplus(-functional_call(gan.discriminator, fixed, fake)).mean()


def leak(loss: Tensor, parameters: tuple[nn.Parameter, ...]) -> float:
    """Largest absolute gradient that a loss leaves on these parameters; 0 if it does not reach them."""
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return max((gradient.abs().max().item() for gradient in gradients if gradient is not None), default=0.0)


def main() -> dict[str, float]:
    """Train, then compare the generated points with the data."""
    torch.manual_seed(0)
    gan = GAN()
    subnets = Subnets.matching(gan, {"generator": "generator.*", "discriminator": "discriminator.*"})
    rates = {"generator": GroupOptions(lr=1e-3), "discriminator": GroupOptions(lr=3e-3)}
    groups = subnets.groups(lr=1e-3, schedule=WarmupCosine(final=0.05), overrides=rates)
    optimizer = torch.optim.Adam(groups, betas=(0.5, 0.9))

    for step in range(STEPS):
        set_rates(optimizer, step=step, steps=STEPS)
        fake = gan.generator(torch.randn(BATCH, NOISE))
        losses = discriminator_loss(gan, sample(BATCH), fake), generator_loss(gan, fake)
        optimizer.zero_grad()
        sum(losses).backward()  # each network receives the gradient of its own loss only
        optimizer.step()
        if step % 500 == 0:
            print(f"step {step:4}  discriminator {losses[0].item():.3f}  generator {losses[1].item():.3f}")

    fake = gan.generator(torch.randn(4_000, NOISE))
    figures = {
        "leak_to_generator": leak(discriminator_loss(gan, sample(4_000), fake), subnets["generator"]),
        "leak_to_discriminator": leak(generator_loss(gan, fake), subnets["discriminator"]),
        "leak_unless_stopped": leak(F.softplus(gan.discriminator(fake)).mean(), subnets["generator"]),
    }
    distances = torch.cdist(fake.detach(), CENTERS)
    nearest, near = distances.argmin(1), distances.min(1).values < 4 * SPREAD
    shares = torch.bincount(nearest[near], minlength=MODES) / len(fake)
    figures |= {"modes": (shares > 0.02).sum().item(), "near_a_mode": near.float().mean().item()}
    for axis, name in enumerate("xy"):
        figures |= {f"mean_{name}": fake[:, axis].mean().item(), f"std_{name}": fake[:, axis].std().item()}
    figures["std_of_data"] = math.sqrt(0.5 + SPREAD**2)
    print("\n".join(f"{name:>22} {value:.3f}" for name, value in figures.items()))
    return figures


if __name__ == "__main__":
    main()
