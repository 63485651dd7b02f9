"""Everything that can be done to an AlphaTable, in any order, against dense torch.optim.SGD."""

import pytest
import torch
from tables import private_table

from acestimator import AlphaTable

K, ATOL = 4, 1e-11  # over 150 operations, of constants up to about 100


class GrowingDense:
    """An (N, K) parameter under torch.optim.SGD, to which rows can be added."""

    def __init__(self, n_samples, **hyperparameters):
        self.hyperparameters = hyperparameters
        self._begin(torch.zeros(n_samples, K, dtype=torch.float64))

    def _begin(self, value):
        self.parameter = torch.nn.Parameter(value)
        self.optimizer = torch.optim.SGD([self.parameter], **self.hyperparameters)

    @property
    def value(self):
        return self.parameter.detach()

    def step(self, index, grad, lr):
        self.parameter.grad = torch.zeros_like(self.parameter).index_add(0, index, grad)
        self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.step()

    def extend(self, n_samples):
        zeros = torch.zeros(n_samples, K, dtype=torch.float64)
        velocity = self.optimizer.state.get(self.parameter, {}).get("momentum_buffer")
        self._begin(torch.cat([self.value, zeros]))
        if velocity is not None:
            self.optimizer.state[self.parameter]["momentum_buffer"] = torch.cat([velocity, zeros])


def steps_of(n_samples, generator):
    """Different samples, in order, and the sizes and rates of steps over them."""
    order = torch.randperm(n_samples, generator=generator)[:12]
    sizes = torch.randint(1, 4, (4,), generator=generator).tolist()
    return order[: sum(sizes)], sizes, torch.rand(4, generator=generator).tolist()


@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.02])
def test_any_mixture_of_operations_equals_dense_sgd(momentum, nesterov, weight_decay, in_file, tmp_path):
    """With windows of 20 steps. Rows that were handed out are not changed by what comes later."""
    hyperparameters = {
        "lr": 0.3,
        "momentum": momentum,
        "nesterov": nesterov and momentum > 0,
        "weight_decay": weight_decay,
    }
    generator = torch.Generator().manual_seed(0)
    file = tmp_path / "alpha" if in_file else None
    table = private_table(50, K, window=5, dtype=torch.float64, file=file, **hyperparameters)
    dense, handed_out = GrowingDense(50, **hyperparameters), []

    def draw(n):
        return int(torch.randint(n, (), generator=generator))

    def gradient(n_rows):
        return torch.randn(n_rows, K, dtype=torch.float64, generator=generator)

    for _ in range(150):
        operation = draw(9)
        if operation < 4:
            index = torch.randint(table.n_samples, (1 + draw(6),), generator=generator)
            rows, grad, lr = table.rows(index), gradient(len(index)), draw(100) / 100
            handed_out.append((rows, rows.clone()))
            torch.testing.assert_close(rows, dense.value[index], rtol=0, atol=ATOL)
            table.step(index, grad, lr)
            dense.step(index, grad, lr)
        elif operation == 4:
            order, sizes, rates = steps_of(table.n_samples, generator)
            with table.announce(order, sizes, rates) as steps:
                for step in list(steps)[: draw(5)]:
                    grad = gradient(len(step.index))
                    torch.testing.assert_close(step.rows(), dense.value[step.index], rtol=0, atol=ATOL)
                    step.step(grad)
                    dense.step(step.index, grad, rates[step.number])
        elif operation == 5:
            table.flush()
        elif operation == 6:
            torch.testing.assert_close(table.dense(), dense.value, rtol=0, atol=ATOL)
        elif operation == 7:
            n_samples = 1 + draw(4)
            table.extend(n_samples)
            dense.extend(n_samples)
        elif in_file:
            table = AlphaTable.resume(file)
        else:
            state = table.state_dict()
            table = private_table(table.n_samples, K, window=5, dtype=torch.float64, **hyperparameters)
            table.load_state_dict(state)
        assert table.norm() == pytest.approx(float(dense.value.norm(dim=1).square().mean().sqrt()), abs=ATOL)
    torch.testing.assert_close(table.dense(), dense.value, rtol=0, atol=ATOL)
    assert all(torch.equal(rows, before) for rows, before in handed_out)
